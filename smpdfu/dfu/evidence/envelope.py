"""DSSE envelopes, by ``securesystemslib``: signed by any key of ours, and opened by public keys only after the check.

The signature is over DSSE's PAE of the payload type and the payload, by the key's own scheme: ECDSA with SHA-256
(P-256) or SHA-384 (P-384), Ed25519, RSA-PSS with SHA-256. ``keyid`` is what securesystemslib computes of such a key.
Source: DSSE 1.0.2 (secure-systems-lab/dsse), envelope and protocol.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Container, Sequence
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as LibraryError
from securesystemslib.signer import Signature, SSlibKey
from securesystemslib.signer import Signer as LibrarySigner

from smpdfu.errors import EvidenceError, FormatError, SignatureError, SigningError
from smpdfu.image.hashes import digest
from smpdfu.image.keys.keys import PublicKey, Signer
from smpdfu.image.signers.remote import public_from_der
from smpdfu.image.tlv import TlvType
from smpdfu.untrusted import jsontext

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES = 8 << 20
MAX_SIGNATURES = 16

# How a key of each kind signs, in securesystemslib's words.
SCHEMES = {
    "ecdsa-p256": "ecdsa-sha2-nistp256",
    "ecdsa-p384": "ecdsa-sha2-nistp384",
    "ed25519": "ed25519",
    "rsa-2048": "rsassa-pss-sha256",
    "rsa-3072": "rsassa-pss-sha256",
}


def seal_payload(payload: bytes, signer: Signer) -> bytes:
    """The envelope of ``payload``, as one line of JSON. Raises SigningError, EvidenceError."""
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(_Adapter(signer))
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def open_envelope(data: bytes, keys: Sequence[PublicKey]) -> tuple[bytes, PublicKey]:
    """The payload of an envelope that one of ``keys`` has signed, and that key.

    Raises EvidenceError for what is no envelope or has another payload, SignatureError without a good signature,
    ValueError without keys.
    """
    if not keys:
        raise ValueError("an envelope is opened with at least one key")
    envelope = _parse(data)
    known = {key.keyid: (key, one) for one in keys for key in (library_key(one),)}
    try:
        accepted = envelope.verify([key for key, _ in known.values()], threshold=1)
    except (LibraryError, ValueError) as error:
        raise _unsigned(envelope, known) from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise EvidenceError(f"the provenance is of the type {envelope.payload_type[:80]!r}, not {PAYLOAD_TYPE}")
    return envelope.payload, known[next(iter(accepted))][1]


def _unsigned(envelope: Envelope, known: Container[str]) -> SignatureError:
    """A document that was changed, or one by another key: the names in it tell."""
    if any(name in known for name in envelope.signatures):
        return SignatureError("the provenance is damaged or was changed: its signature does not verify")
    by = ", ".join(name[:16] for name in envelope.signatures)
    return SignatureError(f"no given key has signed the provenance (its keyid is {by})")


def library_key(public: PublicKey) -> SSlibKey:
    """The key as securesystemslib has it. Raises SigningError for a kind that cannot sign."""
    if public.kind.name not in SCHEMES:
        raise SigningError(f"a key of type {public.kind.name} cannot sign or verify a provenance")
    return SSlibKey.from_crypto(public.public.raw, scheme=SCHEMES[public.kind.name])


class _Adapter(LibrarySigner):
    """A signer of ours as one of securesystemslib's: it gives the bytes, the envelope is the library's."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._key = library_key(_public_of(signer))

    @property
    def public_key(self) -> SSlibKey:
        """The public half."""
        return self._key

    @classmethod
    def from_priv_key_uri(cls, *_: Any) -> LibrarySigner:
        """Not used: ``image/signers`` opens key URIs."""
        raise NotImplementedError

    def sign(self, payload: bytes) -> Signature:
        """Sign as the kind of key does: Ed25519 the bytes themselves, the others their hash."""
        algorithm = self._signer.algorithm
        if algorithm.signature_type == TlvType.ED25519:
            signature = self._signer.sign_message(payload)
        else:
            signature = self._signer.sign_digest(digest(algorithm.hash_types[0], (payload,)))
        return Signature(self._key.keyid, signature.hex())


_RSA = (TlvType.RSA2048_PSS, TlvType.RSA3072_PSS)


def _public_of(signer: Signer) -> PublicKey:
    label = "RSA PUBLIC KEY" if signer.algorithm.signature_type in _RSA else "PUBLIC KEY"
    return public_from_der(signer.public_bytes, "the key of the provenance", label)


def _parse(data: bytes) -> Envelope:
    try:
        found = jsontext.load(data, MAX_ENVELOPE_BYTES)
        return _envelope(found)
    except FormatError as error:
        raise EvidenceError(f"this is not a provenance (a DSSE envelope): {error}").because("envelope") from None


def _envelope(found: dict[str, Any]) -> Envelope:
    if set(found) != {"payload", "payloadType", "signatures"}:
        raise FormatError("it has other keys than payload, payloadType and signatures")
    signatures = found["signatures"]
    if not isinstance(found["payloadType"], str):
        raise FormatError("payloadType is no text")
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MAX_SIGNATURES:
        raise FormatError(f"signatures is no list of 1 to {MAX_SIGNATURES}")
    taken: dict[str, Signature] = {}
    for one in signatures:
        if not isinstance(one, dict) or not isinstance(one.get("keyid"), str) or "sig" not in one:
            raise FormatError("a signature has no keyid or no sig")
        if one["keyid"] in taken:
            raise FormatError("two signatures are of one key")
        taken[one["keyid"]] = Signature(one["keyid"], _bytes(one["sig"]).hex())
    return Envelope(_bytes(found["payload"]), found["payloadType"], taken)


def _bytes(text: object) -> bytes:
    """The bytes of a base64 text that can be written in one way only."""
    if not isinstance(text, str):
        raise FormatError("a payload or signature is no text")
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("a payload or signature is no base64") from None
    if b64encode(data).decode() != text:
        raise FormatError("a payload or signature is base64 with bits that mean nothing")
    return data
