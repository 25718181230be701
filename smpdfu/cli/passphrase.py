"""Key files, and how a passphrase reaches them: a variable, a file, or a prompt on a terminal; never an argument.

Both doors (``smpdfu`` and ``smpdfu-imgtool``) read keys here, so this module imports no option parser.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.errors import KeyFileError, PassphraseError

if TYPE_CHECKING:
    from smpdfu.image.keys import PrivateKey, PublicKey

_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where the passphrase of a key comes from: the variable ``env``, the file ``file``, else a terminal."""

    env: str | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.env is not None and self.file is not None:
            raise ValueError("give either --passphrase-env or --passphrase-file, not both")

    @property
    def given(self) -> bool:
        """True if the command line says where the passphrase is, so that nobody need be asked."""
        return self.env is not None or self.file is not None

    def ask(self, key: Path) -> bytes:
        """The passphrase of the key file ``key``; raises KeyFileError when there is none and no terminal to ask on."""
        return self._given() if self.given else _typed(f"Passphrase of {key}: ")

    def choose(self, key: Path) -> bytes:
        """A passphrase for a new key file, typed twice on a terminal; KeyFileError if it is empty, too."""
        chosen = self._given() if self.given else _typed(f"New passphrase for {key}: ")
        if not chosen:
            raise KeyFileError("the passphrase is empty; no key was made", str(key))
        if not self.given and _typed("The same again: ") != chosen:
            raise KeyFileError("the two passphrases are not the same; no key was made", str(key))
        return chosen

    def _given(self) -> bytes:
        if self.file is not None:
            return _first_line(self.file)
        secret = os.environ.get(self.env or "")
        if secret is None:
            raise PassphraseError(f"the variable {self.env}, which should hold the passphrase, is not set")
        return os.fsencode(secret)


def _typed(question: str) -> bytes:
    if not sys.stdin.isatty():
        raise PassphraseError("a passphrase is needed and there is no terminal to ask on")
    from getpass import getpass

    return getpass(question).encode()


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline(_LONGEST_LINE).rstrip(b"\r\n")
    except OSError as error:
        raise PassphraseError(f"cannot read the passphrase file {path}: {error.strerror}", str(path)) from None


def read_key(path: Path, passphrase: Passphrase) -> PrivateKey | PublicKey:
    """The key in a PEM file. Raises KeyFileError with a sentence that names the file."""
    from smpdfu.image.files import read_key_file

    return read_key_file(path, lambda: passphrase.ask(path))


def read_private(path: Path, passphrase: Passphrase, purpose: str) -> PrivateKey:
    """The private key in a PEM file; KeyFileError says what for (``purpose``) it is needed if the file has no such."""
    from smpdfu.image.keys import PrivateKey

    key = read_key(path, passphrase)
    if not isinstance(key, PrivateKey):
        raise KeyFileError(f"{path} holds a public key; {purpose} needs the private one", str(path))
    return key


def make_key(kind: str, path: Path, passphrase: Passphrase | None, *, force: bool) -> PrivateKey:
    """Generate a key and write it, for its owner alone, protected when there is a ``passphrase``.

    Raises KeyFileError rather than replace a file without ``force``, ValueError for an unknown kind.
    """
    from smpdfu.image.files import write_key_file
    from smpdfu.image.keys import generate

    if path.exists() and not force:  # before anybody has to think of a passphrase
        raise KeyFileError(f"{path} is there already; a key is replaced only with --force", str(path))
    made = generate(kind)
    secret = passphrase.choose(path) if passphrase else None
    write_key_file(path, made.to_private_pem(secret), overwrite=force)
    return made


def is_name_suffix(text: str) -> bool:
    """True if ``text`` can stand at the end of a name in C and Rust."""
    return all(letter == "_" or (letter.isascii() and letter.isalnum()) for letter in text)
