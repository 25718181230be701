"""Keys, and how a passphrase or PIN reaches them: a variable, a file, or a prompt on a terminal; never an argument.

What ``-k`` names is a PEM file, or a key that stays where it is (``image/signers/``). Both doors (``smpdfu`` and
``smpdfu-imgtool``) read keys here, so this module imports no option parser.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.errors import KeyFileError, PassphraseError
from smpdfu.image.files import MAX_KEY_BYTES, parse_key, read_key_file
from smpdfu.image.signers import Surroundings, open_signer, scheme_of
from smpdfu.image.signers.secret import secret_from_env, secret_from_file
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.programs import withhold

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PrivateKey, PublicKey
    from smpdfu.image.signers.remote import RemoteSigner

    SigningKey = PrivateKey | RemoteSigner

KeyName = str | Path  # a PEM file, or a key URI (which is never a Path: that would change its slashes)


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where the passphrase of a key comes from: the variable ``env``, the file ``file``, else a terminal."""

    env: str | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.env is not None and self.file is not None:
            raise ValueError("give either --passphrase-env or --passphrase-file, not both")
        if self.env is not None:  # also before it is read, and where no key asks for it
            withhold(self.env)

    @property
    def given(self) -> bool:
        """True if the command line names the source of the passphrase, so that smpdfu need not ask."""
        return self.env is not None or self.file is not None

    def ask(self, key: KeyName) -> bytes:
        """The passphrase of the key file ``key``; raises KeyFileError when there is none and no terminal to ask on."""
        return self.answer(f"Passphrase of {key}")

    def answer(self, question: str) -> bytes:
        """The secret from the command line if it names one, else what a person types as the answer to ``question``."""
        return self._given() if self.given else _typed(f"{question}: ")

    def choose(self, key: Path) -> bytes:
        """A passphrase for a new key file, typed twice on a terminal; KeyFileError if it is empty, too."""
        chosen = self._given() if self.given else _typed(f"New passphrase for {key}: ")
        if not chosen:
            raise KeyFileError("the passphrase is empty. smpdfu made no key", str(key))
        if not self.given and _typed("The same again: ") != chosen:
            raise KeyFileError("the two passphrases differ. smpdfu made no key", str(key))
        return chosen

    def _given(self) -> bytes:
        if self.file is not None:
            return secret_from_file(self.file, "passphrase")
        return secret_from_env(self.env or "", "passphrase")


def _typed(question: str) -> bytes:
    if not sys.stdin.isatty():
        raise PassphraseError("the key needs a passphrase, and there is no terminal to ask on")
    try:
        return getpass(question).encode()
    except EOFError:
        sys.stderr.write("\n")  # the error has a line of its own
        raise PassphraseError("you typed no passphrase") from None


def read_key(key: KeyName, passphrase: Passphrase) -> PrivateKey | PublicKey:
    """The key in a PEM file; of a key URI the public key, which is all that leaves its place.

    Raises KeyFileError with a sentence that names the file.
    """
    if isinstance(key, str) and scheme_of(key):
        return _open(key, passphrase, None).public
    if is_given(key):
        return parse_key(key_bytes(key), str(key), lambda: passphrase.ask(key))
    return read_key_file(key, lambda: passphrase.ask(key))


def is_given(key: KeyName) -> bool:
    """True for a key that is no file: ``env:NAME``, in a variable; ``-``, on standard input."""
    return str(key) == "-" or str(key).startswith(_IN_VARIABLE)


def key_bytes(key: KeyName) -> bytes:
    """The bytes of a key that is given in a variable or on standard input, or of a key file. Raises KeyFileError."""
    name = str(key)
    try:
        if name == "-":
            data = _standard_input(MAX_KEY_BYTES + 1)
        elif is_given(key):
            data = _variable(name)
        else:
            data = read_start(name, MAX_KEY_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {name}: {error.strerror or error}", name) from None
    if len(data) > MAX_KEY_BYTES:
        raise KeyFileError(f"{name} has more than {MAX_KEY_BYTES >> 20} MiB, so it is not a key", name)
    return data


_IN_VARIABLE = "env:"
_heard: list[tuple[object, bytes]] = []


def _standard_input(limit: int) -> bytes:
    """Read standard input, once: a command may need the key twice."""
    if sys.stdin.isatty():
        raise KeyFileError(
            "-k - reads the key from standard input, which is a terminal. Pipe the key into the command", "-"
        )
    if not _heard or _heard[0][0] is not sys.stdin:
        _heard[:] = [(sys.stdin, sys.stdin.buffer.read(limit))]
    return _heard[0][1]


def _variable(name: str) -> bytes:
    """The key in a variable; services that keep secrets in one line write its line ends as \\n."""
    variable = name.removeprefix(_IN_VARIABLE)
    withhold(variable)
    text = os.environ.get(variable, "")
    if not text:
        raise KeyFileError(f"the variable {variable} is not set or is empty. It must hold a key", name)
    return (text if "\n" in text else text.replace("\\n", "\n")).encode("utf-8", "surrogateescape")


def read_signer(key: KeyName, passphrase: Passphrase, public: PublicKey | None = None) -> SigningKey:
    """What signs: the private key in a PEM file, or the key that a URI names. ``public`` is what it must be, if given.

    Raises KeyFileError; SigningError with what a token, a cloud or a program says.
    """
    if isinstance(key, str) and scheme_of(key):
        return _open(key, passphrase, public)
    private = read_private(key, passphrase, "signing")
    if public is not None and public.public_bytes != private.public_bytes:
        raise KeyFileError(f"{key} does not belong to the public key that you gave", str(key))
    return private


def _open(uri: str, passphrase: Passphrase, public: PublicKey | None) -> RemoteSigner:
    return open_signer(uri, Surroundings(public, passphrase.answer, _hand_on))


def _hand_on(text: str) -> None:
    """Show what a program prints while it signs (`touch the key now`)."""
    sys.stderr.write(text)
    sys.stderr.flush()


def read_private(name: KeyName, passphrase: Passphrase, purpose: str) -> PrivateKey:
    """The private key in a PEM file; KeyFileError says what for (``purpose``) it is needed if the file has no such."""
    from smpdfu.image.keys.keys import PrivateKey  # here: it loads cryptography, which an unsigned image does not need

    if isinstance(name, str) and scheme_of(name):
        raise KeyFileError(f"{purpose} needs the private key in a file, and the key of this URI cannot be read", name)
    key = read_key(name, passphrase)
    if not isinstance(key, PrivateKey):
        raise KeyFileError(f"{name} holds a public key, and {purpose} needs the private key", str(name))
    return key
