"""Whom a build encrypts for: the key file that it names, as far as that is on this computer."""

from __future__ import annotations

import os
from pathlib import Path

from smpdfu.dfu.build_folder.build import Build
from smpdfu.errors import FormatError, KeyFileError
from smpdfu.image.keys.keys import PublicKey, load_key
from smpdfu.untrusted.files import read_start

_LARGEST_KEY_FILE = 1 << 16


def recipient_of(build: Build) -> PublicKey | None:
    """The public half of the key that the build encrypts with.

    None where the bootloader does not decrypt, the build names no file by its whole path, or the file is not there: a
    folder that was built elsewhere. Raises KeyFileError, with the file, for one that holds no such key or is protected
    by a passphrase.
    """
    loader = build.bootloader
    fact = loader.encryption_key_file
    if loader.encryption is None or fact is None or not os.path.isabs(fact.value):
        return None
    path = Path(fact.value)
    try:
        data = read_start(path, _LARGEST_KEY_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return load_key(data).public
    except (KeyFileError, FormatError) as error:
        text = f"{path}, the key that the build encrypts with ({fact.origin}): {error}"
        raise KeyFileError(text, str(path)) from None
