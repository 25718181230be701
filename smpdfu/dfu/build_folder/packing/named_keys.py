"""The keys of a build: the one in its bootloader, and the files that it names, where they are on this computer."""

from __future__ import annotations

from pathlib import Path

from smpdfu.dfu.build_folder.build import Build, Fact
from smpdfu.errors import SigningError
from smpdfu.image.files import read_key_file
from smpdfu.image.keys.keys import PublicKey
from smpdfu.image.signers.remote import public_from_der


def built_in_key(build: Build) -> PublicKey | None:
    """The key that is built into the bootloader; None if it is not known, or cannot be read."""
    loader = build.bootloader
    if loader.public_key is None:
        return None
    is_rsa = loader.signature is not None and loader.signature.value.startswith("rsa")
    label = "RSA PUBLIC KEY" if is_rsa else "PUBLIC KEY"
    try:
        return public_from_der(loader.public_key.value, loader.public_key.file, label)
    except SigningError:
        return None


def signing_key_of(build: Build) -> Path | None:
    """The file of the key that the build signs with; None where it names none, or none that is there."""
    return _file(build.bootloader.key_file)


def named_key(build: Build) -> Fact[bytes] | None:
    """The public half of the key that the build signs with, as far as its file is there and can be read."""
    path, fact = signing_key_of(build), build.bootloader.key_file
    if path is None or fact is None:
        return None
    try:
        key = read_key_file(path)
    except (SigningError, OSError):
        return None
    return Fact(key.public.public_bytes, fact.file, f"{fact.key}: {path}")


def encryption_key_of(build: Build) -> Path | None:
    """The file of the key that the build encrypts its images for; None where it names none, or none that is there."""
    return None if build.bootloader.encryption is None else _file(build.bootloader.encryption_key_file)


def file_of(name: str) -> Path | None:
    """A file that a build names by its whole path; None where there is none.

    A name without the whole path counts from a folder of the SDK, which is not known here.
    """
    path = Path(name)
    try:
        return path if path.is_absolute() and path.is_file() else None
    except (OSError, ValueError):
        return None


def _file(fact: Fact[str] | None) -> Path | None:
    return None if fact is None else file_of(fact.value)
