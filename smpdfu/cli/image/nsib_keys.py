"""The keys of NSIB that options name: PEM files, key URIs, and provisioning data."""

from __future__ import annotations

from collections.abc import Iterable

from smpdfu.cli.image.key_files import read_verifier
from smpdfu.cli.keys.passphrase import Passphrase, key_bytes
from smpdfu.image.nsib.seal import raw_public_key
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, Nsib, NsibKeys, ReadKeys, nsib_keys_in, with_read_keys
from smpdfu.image.signers import scheme_of


def read_nsib(net: Iterable[str], b0: Iterable[str]) -> NsibKeys:
    """The keys of b0n and of b0, in their order. Raises SigningError, FormatError or OSError."""
    passphrase = Passphrase()
    return with_read_keys(
        NO_NSIB_KEYS,
        [_keys(name, passphrase, Nsib.B0N) for name in net],
        [_keys(name, passphrase, Nsib.B0) for name in b0],
    )


def _keys(name: str, passphrase: Passphrase, loader: Nsib) -> ReadKeys:
    if not scheme_of(name):
        return nsib_keys_in(key_bytes(name), name, lambda: passphrase.ask(name), loader=loader)
    key = read_verifier(name, passphrase)
    raw_public_key(key)  # a key of another kind is not that of a seal
    return ReadKeys((key,))
