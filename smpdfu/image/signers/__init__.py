"""Keys that stay where they are: in a token, in a cloud, behind a program.

``open_signer`` turns a URI into a ``Signer``. What signs is asked to sign a digest, and every signature is checked with
the public key before anybody gets it: a wrong slot, a wrong key, a program that prints something else cannot make a bad
image. A new kind of place is a row of ``SCHEMES``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from smpdfu.errors import KeyFileError
from smpdfu.untrusted.programs import withhold

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.signers.remote import RemoteSigner

Ask = Callable[[str], bytes]
Tell = Callable[[str], None]


def nobody_to_ask(what: str) -> bytes:
    """Raise KeyFileError: there is nobody to ask for a secret."""
    raise KeyFileError(f"{what} is needed, and there is no terminal to ask for it")


def tell_nobody(_: str) -> None:
    """Discard a message."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a key may need besides its URI.

    ``public`` is the public key, if the URI does not lead to it; if the URI does, the two must be the same. ``ask``
    gets a few words and returns a secret (a PIN). ``tell`` gets the messages of a program that signs. ``withheld`` is
    the names of variables with secrets: once a key is open, no program that smpdfu starts gets them.
    """

    public: PublicKey | None = None
    ask: Ask = nobody_to_ask
    tell: Tell = tell_nobody
    withheld: tuple[str, ...] = ()


# Scheme -> module of this folder whose `open_key(uri, surroundings)` returns a RemoteSigner, and the extra it needs.
SCHEMES = {
    "pkcs11": ("hsm", "hsm"),
    "awskms": ("kms", "kms"),
    "gcpkms": ("kms", "kms"),
    "azurekms": ("kms", "kms"),
    "cmd": ("command", ""),
}


def scheme_of(text: str) -> str | None:
    """Return the scheme of a key URI; None for the name of a file."""
    scheme, colon, _ = text.partition(":")
    return scheme.lower() if colon and scheme.lower() in SCHEMES else None


def shown_key(name: str) -> str:
    """Return a key file or URI for printing. A ``cmd:`` URI loses its arguments, which may be secrets."""
    if scheme_of(name) != "cmd":
        return name
    try:
        words = shlex.split(name.partition(":")[2].partition("?")[0])
    except ValueError:
        words = []
    return " ".join(("cmd:" + "".join(words[:1]), *(["..."] if words[1:] else [])))


def open_signer(uri: str, surroundings: Surroundings | None = None) -> RemoteSigner:
    """Open the key that a URI names. This fetches its public key; the key itself stays where it is.

    Raises ``KeyFileError`` for a URI that leads to no usable key, ``ValueError`` for a scheme that is none of
    ``SCHEMES``.
    """
    scheme = scheme_of(uri)
    if scheme is None:
        raise ValueError(f"{uri.partition(':')[0]!r} is not one of {', '.join(SCHEMES)}")
    module, extra = SCHEMES[scheme]
    surroundings = surroundings or Surroundings()
    for name in surroundings.withheld:
        withhold(name)
    try:
        opener = import_module(f"smpdfu.image.signers.{module}").open_key
    except ModuleNotFoundError as error:
        raise KeyFileError(
            f"{scheme}: keys need the package {error.name}, which is not installed: pip install 'smpdfu[{extra}]'"
        ) from None
    return cast("RemoteSigner", opener(uri, surroundings))
