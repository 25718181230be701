"""The keys of NSIB that options name: PEM files, key URIs, and provisioning data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smpdfu.cli.image.key_files import read_verifier
from smpdfu.cli.keys.passphrase import Passphrase, key_bytes
from smpdfu.image.nsib.seal import raw_public_key
from smpdfu.image.nsib.trusted_keys import Nsib, NsibKeys, nsib_keys_in
from smpdfu.image.signers import scheme_of

if TYPE_CHECKING:
    from smpdfu.image.nsib.sealed_by import KnownKey


def read_nsib(net: Iterable[str], b0: Iterable[str]) -> NsibKeys:
    """The keys of b0n and of b0, in their order. Raises SigningError, FormatError or OSError."""
    passphrase = Passphrase()
    return NsibKeys(_read(net, passphrase, Nsib.B0N), _read(b0, passphrase, Nsib.B0))


def _read(names: Iterable[str], passphrase: Passphrase, loader: Nsib) -> tuple[KnownKey, ...]:
    return tuple(key for name in names for key in _keys(name, passphrase, loader))


def _keys(name: str, passphrase: Passphrase, loader: Nsib) -> tuple[KnownKey, ...]:
    if not scheme_of(name):
        return nsib_keys_in(key_bytes(name), name, lambda: passphrase.ask(name), loader=loader)
    key = read_verifier(name, passphrase)
    raw_public_key(key)  # a key of another kind is not that of a seal
    return (key,)
