"""Make a key file. Both programs do it here, so this module imports no option parser."""

from __future__ import annotations

from pathlib import Path

from smpdfu.cli.keys.passphrase import Passphrase, is_given
from smpdfu.errors import KeyFileError
from smpdfu.image.files import write_key_file
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signers import scheme_of


def make_key(kind: str, path: Path, passphrase: Passphrase | None, *, force: bool) -> PrivateKey:
    """Generate a key and write it to a file that only its owner can read, protected if there is a ``passphrase``.

    Raises KeyFileError rather than replace a file without ``force``, ValueError for an unknown kind.
    """
    if scheme_of(str(path)):
        raise KeyFileError(f"{path} is not a file. Make a key of this kind with the tools of its place", str(path))
    if is_given(path):
        raise KeyFileError(f"{path} is not a file. Give a file name for the new key", str(path))
    if path.exists() and not force:  # before smpdfu asks for a passphrase
        raise KeyFileError(f"{path} exists already. To replace it, use --force", str(path))
    made = generate(kind)
    secret = passphrase.choose(path) if passphrase else None
    write_key_file(path, made.to_private_pem(secret), overwrite=force)
    return made
