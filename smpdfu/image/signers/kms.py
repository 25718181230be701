"""``awskms:``, ``gcpkms:``, ``azurekms:`` keys, by the signers of securesystemslib and their URI schemes.

They find the key, fetch its public half, match its type with the cloud's word for it, and log in with the credentials
that the cloud's own tools use. Their ``sign`` hashes a message; we have the digest already, so it goes to the client
that they made. None of them makes Ed25519 signatures, and Azure's knows no RSA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import AWSSigner, AzureSigner, GCPSigner, SSlibKey

from smpdfu.errors import KeyFileError, SigningError, SmpdfuError
from smpdfu.image.keys.keys import PublicKey, load_key
from smpdfu.image.signers import Surroundings
from smpdfu.image.signers.process import readable
from smpdfu.image.signers.remote import RemoteSigner, agreed_public, read_public
from smpdfu.image.signers.uri import split_options

_SAID_CHARACTERS = 300

# How MCUboot wants a key of each kind to sign, in securesystemslib's words.
SCHEMES_OF_KINDS = {
    "ecdsa-p256": "ecdsa-sha2-nistp256",
    "ecdsa-p384": "ecdsa-sha2-nistp384",
    "rsa-2048": "rsassa-pss-sha256",
    "rsa-3072": "rsassa-pss-sha256",
}


@dataclass(frozen=True, slots=True)
class Cloud:
    """A row of ``CLOUDS``: whose key store, and how it is spoken to.

    ``fetch`` takes what stands behind the scheme and returns securesystemslib's URI and public key. ``sign`` takes
    securesystemslib's signer and a digest.
    """

    title: str
    signer: Any
    uri: Callable[[str], str]
    fetch: Callable[[str], tuple[str, SSlibKey]] = field(repr=False)
    sign: Callable[[Any, bytes], bytes] = field(repr=False)


def _fetch_azure(path: str) -> tuple[str, SSlibKey]:
    """Azure's signer fetches the newest version of a key; another one is not taken for it."""
    host, word, key_name, version, *rest = (*path.split("/"), "", "", "", "")
    if word != "keys" or not key_name or any(rest):
        raise KeyFileError("an azurekms: URI is azurekms://VAULT.vault.azure.net/keys/NAME or .../keys/NAME/VERSION")
    uri, key = AzureSigner.import_(host.partition(".")[0], key_name)
    if version and not uri.endswith(f"/{version}"):
        raise KeyFileError(
            f"azurekms: the newest version of {key_name} is {uri.rpartition('/')[2]}, not {version}: to sign with "
            "an older one give its public key with ?pub=FILE"
        )
    return uri, key


CLOUDS = {
    "awskms": Cloud(
        "AWS KMS",
        AWSSigner,
        lambda path: f"awskms:{path}",
        AWSSigner.import_,
        lambda signer, digest: signer.client.sign(
            KeyId=signer.aws_key_id, Message=digest, MessageType="DIGEST", SigningAlgorithm=signer.aws_algo
        )["Signature"],
    ),
    "gcpkms": Cloud(
        "Google Cloud KMS",
        GCPSigner,
        lambda path: f"gcpkms:{path}",
        GCPSigner.import_,
        lambda signer, digest: (
            signer.client.asymmetric_sign(
                {"name": signer.gcp_keyid, "digest": {signer.hash_algorithm: digest}}
            ).signature
        ),
    ),
    "azurekms": Cloud(
        "Azure Key Vault",
        AzureSigner,
        lambda path: f"azurekms://{path}",
        _fetch_azure,
        lambda signer, digest: signer.crypto_client.sign(signer.signature_algorithm, digest).signature,
    ),
}


def open_key(uri: str, surroundings: Surroundings) -> RemoteSigner:
    """The key that a KMS URI names. Raises ``KeyFileError``, ``SigningError`` with what the cloud says.

    With ``?pub=FILE`` the public key is not fetched, and the credentials need no more than the right to sign.
    """
    text, options = split_options(uri, ("pub",))
    scheme, _, rest = text.partition(":")
    cloud = CLOUDS[scheme.lower()]
    path = rest.strip("/")
    name = f"the key {path} in {cloud.title}"
    if not path:
        raise KeyFileError(f"the {scheme}: URI names no key")
    given = read_public(options["pub"]) if "pub" in options else surroundings.public
    with _faults_of(name, scheme):
        full_uri, key = (cloud.uri(path), _to_sslib(given, name)) if given else cloud.fetch(path)
        public = agreed_public(_from_sslib(key, name), None, surroundings.public, name)
        if SCHEMES_OF_KINDS.get(public.kind.name) != key.scheme:
            raise KeyFileError(f"{name} signs by {key.scheme}; MCUboot needs RSA keys for PSS with SHA-256")
        signer = cloud.signer.from_priv_key_uri(full_uri, key)

    def sign(digest: bytes) -> bytes:
        with _faults_of(name, scheme):
            return cloud.sign(signer, digest)

    return RemoteSigner(name, public, sign)


def _to_sslib(public: PublicKey, name: str) -> SSlibKey:
    scheme = SCHEMES_OF_KINDS.get(public.kind.name)
    if scheme is None:
        raise KeyFileError(f"{name} cannot be of type {public.kind.name}: use one of {', '.join(SCHEMES_OF_KINDS)}")
    return SSlibKey.from_crypto(public.raw, scheme=scheme)


def _from_sslib(key: SSlibKey, name: str) -> PublicKey:
    try:
        return load_key(key.keyval["public"].encode()).public
    except KeyFileError as error:
        raise KeyFileError(f"{name}: {error}") from None


@contextmanager
def _faults_of(name: str, scheme: str) -> Iterator[None]:
    """Only our errors pass. Each cloud has its own tree of exceptions, which securesystemslib lets through."""
    try:
        yield
    except SmpdfuError:
        raise
    except UnsupportedLibraryError as error:
        raise KeyFileError(f"{scheme}: keys need an extra, pip install 'smpdfu[kms]': {error}") from None
    except Exception as error:
        said = " ".join(readable(str(error).encode()).split())[:_SAID_CHARACTERS]
        raise SigningError(f"{name}: {said or type(error).__name__}") from None
