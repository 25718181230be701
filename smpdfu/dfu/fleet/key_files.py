"""The keys that a fleet's or an agent's file names: of those who sign, and of b0 and b0n."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from smpdfu.errors import SigningError
from smpdfu.image.files import read_key_file
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import Nsib, NsibKeys, ReadKeys, read_keys_of, with_read_keys

AskPassphrase = Callable[[Path], bytes | None]
"""Gives the passphrase of a key file; None if it has none to give."""


def no_passphrase(path: Path) -> bytes | None:
    """Give none: a protected key cannot be used."""
    return None


def trusted_key(path: Path, passphrase: AskPassphrase) -> Verifier:
    """Read the key that must have signed an image. Raises SigningError, or OSError if the file cannot be read."""
    key = read_key_file(path, partial(passphrase, path)).public
    if key.kind.algorithm is None:
        raise SigningError(f"{path} holds a key of type {key.kind.name}, which cannot verify a signature")
    return key


def nsib_keys(known: NsibKeys, net: Iterable[Path], b0: Iterable[Path], passphrase: AskPassphrase) -> NsibKeys:
    """Read the keys that b0n (``net``) and b0 trust, to stand behind those that are known already.

    Raises SigningError, FormatError or OSError.
    """

    def read(paths: Iterable[Path], loader: Nsib) -> list[ReadKeys]:
        return [read_keys_of(loader, path, partial(passphrase, path)) for path in paths]

    return with_read_keys(known, read(net, Nsib.B0N), read(b0, Nsib.B0))
