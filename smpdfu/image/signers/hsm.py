"""``pkcs11:`` keys: HSMs, smart cards, SoftHSM2, by PKCS#11 (python-pkcs11), named by RFC 7512 URIs.

A session is opened for each signature and closed behind it, so that nothing stays logged in. A PIN is tried once: a
token that locks itself after three wrong ones has not been locked by us.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, TokenFlag
from pkcs11.types import PROTECTED_AUTH
from pkcs11.util.ec import encode_ec_public_key
from pkcs11.util.rsa import encode_rsa_public_key

from smpdfu.errors import KeyFileError, PassphraseError, SigningError
from smpdfu.image.keys.keys import PublicKey
from smpdfu.image.signers import Ask, Surroundings
from smpdfu.image.signers.remote import RemoteSigner, agreed_public, public_from_der
from smpdfu.image.signers.secret import secret_from_env, secret_from_file
from smpdfu.image.signers.uri import Pkcs11Uri

MODULE_VARIABLE = "PKCS11_MODULE_PATH"

# How a key of each type signs a digest (PKCS#11 v3.0, current mechanisms): mechanism and its parameter.
_PSS = (Mechanism.SHA256, pkcs11.MGF.SHA256, 32)
_MECHANISMS: dict[KeyType, tuple[Mechanism, Any]] = {
    KeyType.EC: (Mechanism.ECDSA, None),
    KeyType.EC_EDWARDS: (Mechanism.EDDSA, None),
    KeyType.RSA: (Mechanism.RSA_PKCS_PSS, _PSS),
}

# What a URI may say of a token, and where PKCS#11 has it.
_TOKEN_FACTS: dict[str, Callable[[Any], str]] = {
    "token": lambda token: token.label,
    "manufacturer": lambda token: token.manufacturer_id,
    "serial": lambda token: token.serial.decode("utf-8", "replace"),
    "model": lambda token: token.model,
    "slot-id": lambda token: str(token.slot.slot_id),
    "slot-description": lambda token: token.slot.slot_description,
    "slot-manufacturer": lambda token: token.slot.manufacturer_id,
}

# SubjectPublicKeyInfo of an Ed25519 key before its 32 bytes (RFC 8410).
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")

_WRONG_PIN = "the PIN is wrong. smpdfu tried it once only, because a token locks itself after a few wrong PINs"
_FAULTS: dict[str, tuple[type[SigningError], str]] = {
    "PinIncorrect": (PassphraseError, _WRONG_PIN),
    "PinInvalid": (PassphraseError, _WRONG_PIN),
    "PinLenRange": (PassphraseError, "the PIN is too short or too long for this token"),
    "PinLocked": (KeyFileError, "the PIN is locked after too many wrong PINs; the security officer can set a new one"),
    "PinExpired": (KeyFileError, "the PIN has expired: set a new one"),
    "UserPinNotInitialized": (KeyFileError, "the token has no user PIN yet"),
    "UserNotLoggedIn": (PassphraseError, "the token needs a PIN"),
    "TokenNotPresent": (KeyFileError, "the token was removed"),
    "DeviceRemoved": (KeyFileError, "the token was removed"),
    "MechanismInvalid": (SigningError, "the token cannot sign the way MCUboot needs it for this type of key"),
    "MechanismParamInvalid": (SigningError, "the token cannot sign the way MCUboot needs it for this type of key"),
    "KeyFunctionNotPermitted": (SigningError, "the key is not allowed to sign"),
}


def open_key(uri: str, surroundings: Surroundings) -> RemoteSigner:
    """The key that a ``pkcs11:`` URI names. Raises ``KeyFileError``."""
    place = Pkcs11Uri.from_text(uri)
    with _faults_of(place.name):
        token = _token(_library(place), place)
        login = _login(place, token, surroundings.ask)
        key = _TokenKey(place, token, login)
        public = agreed_public(key.public(), place.query.get("pub"), surroundings.public, place.name)
    return RemoteSigner(place.name, public, key.sign, key.sign)


@dataclass(frozen=True, slots=True)
class _TokenKey:
    """A private key in a token. ``login`` is the PIN, or PROTECTED_AUTH where the reader asks for it."""

    place: Pkcs11Uri
    token: Any
    login: Any = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The signature as the token gives it."""
        with _faults_of(self.place.name), self._session() as session:
            key = _private_key(session, self.place)
            mechanism, parameter = _MECHANISMS[key.key_type]
            again = {"pin": self.login} if self._wants_pin_again(key) else {}
            return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameter, **again))

    def public(self) -> PublicKey | None:
        """The public key, if the token shows it."""
        with self._session() as session:
            private = _private_key(session, self.place)
            if private.key_type not in _MECHANISMS:
                raise KeyFileError(f"{self.place.name} is of a type that MCUboot cannot use")
            for wanted in _beside(private):
                for found in session.get_objects(wanted):
                    return _public(found, self.place.name)
            return _public(private, self.place.name) if private.key_type is KeyType.RSA else None

    def _session(self) -> Any:
        return self.token.open(user_pin=self.login) if self.login is not None else self.token.open()

    def _wants_pin_again(self, key: Any) -> bool:
        """CKA_ALWAYS_AUTHENTICATE: the signature key of a PIV card wants the PIN for each signature."""
        if not isinstance(self.login, str):
            return False
        try:
            return bool(key[Attribute.ALWAYS_AUTHENTICATE])
        except pkcs11.PKCS11Error:  # a token that does not know the attribute
            return False


# --- finding things -------------------------------------------------------------------------------------------------


def _library(place: Pkcs11Uri) -> Any:
    path = place.query.get("module-path") or os.environ.get(MODULE_VARIABLE)
    if not path:
        raise KeyFileError(
            f"the PKCS#11 library for {place.name} is not known: add ?module-path=FILE, or set {MODULE_VARIABLE}"
        )
    try:
        return pkcs11.lib(path)
    except pkcs11.PKCS11Error as error:
        reason = str(error).rpartition(f"{path}: ")[2] or type(error).__name__
        raise KeyFileError(f"the PKCS#11 library {path} cannot be used: {reason}", path) from None


def _token(library: Any, place: Pkcs11Uri) -> Any:
    """The one token that the URI fits. The library is asked anew each time: tokens come and go."""
    present = [slot.get_token() for slot in library.get_slots(token_present=True)]
    tokens = [token for token in present if TokenFlag.TOKEN_INITIALIZED in token.flags]
    fitting = [one for one in tokens if all(_TOKEN_FACTS[name](one) == value for name, value in place.token.items())]
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(repr(token.label) for token in tokens[:10]) or "none"
    if not fitting:
        raise KeyFileError(f"{place.name} cannot be reached: there is no such token. Tokens: {shown}")
    raise KeyFileError(f"{place.name} is not one but several: {len(fitting)} tokens fit ({shown}); add serial=")


def _login(place: Pkcs11Uri, token: Any, ask: Ask) -> Any:
    """The PIN: from where the URI says, from the reader's own keys, else asked for; None where none is needed."""
    source = place.query.get("pin-source")
    if source is not None and source.startswith("env:"):
        return _pin(secret_from_env(source.removeprefix("env:"), "PIN"))
    if source is not None:
        return _pin(secret_from_file(source.removeprefix("file://").removeprefix("file:"), "PIN"))
    if TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags:
        return PROTECTED_AUTH
    if TokenFlag.LOGIN_REQUIRED not in token.flags:
        return None
    return _pin(ask(f"PIN of the token {token.label!r}"))


def _pin(secret: bytes) -> str:
    """PKCS#11 has PINs in UTF-8, and its Python library wants them as text."""
    try:
        return secret.decode()
    except UnicodeDecodeError:
        raise PassphraseError("the PIN is not UTF-8") from None


def _private_key(session: Any, place: Pkcs11Uri) -> Any:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if place.object is not None:
        wanted[Attribute.LABEL] = place.object
    if place.id is not None:
        wanted[Attribute.ID] = place.id
    found = list(session.get_objects(wanted))
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"id=%{key.id.hex()}" for key in found[:10])
        raise KeyFileError(f"{place.name} stands for {len(found)} keys: choose one with {ids}")
    others = [repr(key.label) for key in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})]
    raise KeyFileError(f"{place.name} does not exist. Private keys on the token: {', '.join(others[:10]) or 'none'}")


def _beside(private: Any) -> Iterator[dict[Attribute, Any]]:
    """Where the public key of a private one is: under the same ID, else under the same label."""
    base = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.KEY_TYPE: private.key_type}
    if private.id:
        yield base | {Attribute.ID: private.id}
    if private.label:
        yield base | {Attribute.LABEL: private.label}


def _public(found: Any, name: str) -> PublicKey:
    encode, label = _ENCODINGS[found.key_type]
    try:
        return public_from_der(encode(found), name, label)
    except (ValueError, TypeError):
        raise KeyFileError(f"{name} has a public key that cannot be read; give it with ?pub=FILE") from None


def _ed25519_der(found: Any) -> bytes:
    """Tokens give the point bare, or in a DER octet string (PKCS#11 v3.0)."""
    point = bytes(found[Attribute.EC_POINT])
    if len(point) == 34 and point.startswith(b"\x04\x20"):
        point = point[2:]
    if len(point) != 32:
        raise ValueError("not a point of Curve25519")
    return _ED25519_PREFIX + point


# How a public key of each type is written as DER, and what PEM calls that.
_ENCODINGS: dict[KeyType, tuple[Callable[[Any], bytes], str]] = {
    KeyType.EC: (encode_ec_public_key, "PUBLIC KEY"),
    KeyType.EC_EDWARDS: (_ed25519_der, "PUBLIC KEY"),
    KeyType.RSA: (encode_rsa_public_key, "RSA PUBLIC KEY"),
}


# --- what goes wrong ------------------------------------------------------------------------------------------------


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Only our errors pass, and they say which key it is about."""
    try:
        yield
    except pkcs11.PKCS11Error as error:
        kind = type(error).__name__
        sentence = str(error) or f"PKCS#11 says {kind}"
        error_class, text = _FAULTS.get(kind, (SigningError, sentence))
        raise error_class(f"{name}: {text}") from None
