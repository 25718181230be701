"""Where secrets come from: a variable or a file, never an argument, which every process on the machine can read."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smpdfu.errors import PassphraseError
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.programs import withhold

_LONGEST_LINE = 1 << 16


def secret_from_env(name: str, what: str, environment: Mapping[str, str] | None = None) -> bytes:
    """The secret in a variable, which no program of ours gets from then on.

    ``what`` it is stands in the ``PassphraseError`` if there is none.
    """
    withhold(name)
    value = (os.environ if environment is None else environment).get(name)
    if value is None:
        text = f"the variable {name}, which should hold the {what}, is not set"
        raise PassphraseError(text).because("secret-variable", name=name)
    return os.fsencode(value)


def secret_from_file(path: str | os.PathLike[str], what: str) -> bytes:
    """The secret in the first line of a file; ``PassphraseError`` if it cannot be read."""
    try:
        return read_start(path, _LONGEST_LINE).partition(b"\n")[0].rstrip(b"\r")
    except OSError as error:
        raise PassphraseError(f"cannot read the {what} file {path}: {error.strerror}", os.fspath(path)) from None
