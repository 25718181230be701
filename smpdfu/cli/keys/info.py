"""``key gen`` and ``key info``: make a key, and show what a key is."""

from __future__ import annotations

from pathlib import Path

from smpdfu.cli.keys.make import make_key
from smpdfu.cli.keys.options import KeyHalf, PassphraseOptions
from smpdfu.cli.keys.passphrase import key_bytes, read_key
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.image.keys.export import public_key_hash
from smpdfu.image.keys.keys import PrivateKey, PublicKey
from smpdfu.image.keys.known_keys import known_key
from smpdfu.image.keys.pem_text import is_encrypted
from smpdfu.image.signers import scheme_of, shown_key


def make(kind: str, key: Path, secret: PassphraseOptions, out: Output, *, password: bool, force: bool) -> None:
    """Make a private key and show it. Raises typer.BadParameter, KeyFileError or OSError."""
    source = secret.source()
    try:
        made = make_key(kind, key, source if password or source.given else None, force=force)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    _tell(made, KeyHalf.PRIVATE, key, out, protected=password or source.given)


def show(key: str, secret: PassphraseOptions, out: Output, require: KeyHalf | None) -> None:
    """Show what a key file holds. Raises typer.BadParameter if it is not ``require``, KeyFileError or SigningError."""
    found = read_key(key, secret.source())
    elsewhere = scheme_of(key) is not None
    half = KeyHalf.PRIVATE if elsewhere or isinstance(found, PrivateKey) else KeyHalf.PUBLIC
    _tell(found, half, key, out, protected=elsewhere or is_encrypted(key_bytes(key)))
    if require is not None and half is not require:
        raise typer.BadParameter(f"{shown_key(key)} is a {half} key, and --require asks for a {require} key")


def _tell(key: PublicKey, half: KeyHalf, name: str | Path, out: Output, *, protected: bool) -> None:
    known = known_key(key.public_bytes)
    name = shown_key(str(name))
    answer = {
        "key": name,
        "holds": half,
        "type": key.kind.name,
        "protected": protected,
        "public_key_sha256": public_key_hash(key),
        "known_as": known,
    }
    if known is not None:
        out.warn(f"{name} is {known}, which everybody has. Do not use it for products")
    shown = [(label.replace("_", " "), value) for label, value in answer.items() if value is not None]
    out.emit(answer, lambda: facts(shown))
