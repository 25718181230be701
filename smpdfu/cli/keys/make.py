"""Make a key file. Both programs do it here, so this module imports no option parser."""

from __future__ import annotations

from pathlib import Path

from smpdfu.cli.keys.passphrase import Passphrase, is_given
from smpdfu.errors import KeyFileError
from smpdfu.image.files import write_key_file
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signers import scheme_of


def make_key(kind: str, path: Path, passphrase: Passphrase | None, *, force: bool) -> PrivateKey:
    """Generate a key and write it, for its owner alone, protected when there is a ``passphrase``.

    Raises KeyFileError rather than replace a file without ``force``, ValueError for an unknown kind.
    """
    if scheme_of(str(path)):
        raise KeyFileError(f"{path} is no file: a key that stays elsewhere is made there, by its own tools", str(path))
    if is_given(path):
        raise KeyFileError(f"{path} is no file: a new key is written to a file of your choice", str(path))
    if path.exists() and not force:  # before anybody has to think of a passphrase
        raise KeyFileError(f"{path} is there already; a key is replaced only with --force", str(path))
    made = generate(kind)
    secret = passphrase.choose(path) if passphrase else None
    write_key_file(path, made.to_private_pem(secret), overwrite=force)
    return made
