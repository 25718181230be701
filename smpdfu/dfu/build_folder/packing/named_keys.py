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
    key = public_half(path)
    return None if key is None else Fact(key.public_bytes, fact.file, f"{fact.key}: {path}")


def encryption_key_of(build: Build) -> Path | None:
    """The file of the key that the build encrypts its images for; None where it names none, or none that is there."""
    return None if build.bootloader.encryption is None else _file(build.bootloader.encryption_key_file)


def nsib_key_of(build: Build) -> Path | None:
    """The file of the key that seals the build's firmware: the one that is named, else the one that the build made."""
    nsib = build.nsib
    if nsib is None:
        return None
    if nsib.key_file is not None:
        return _file(nsib.key_file)
    return None if nsib.generated_key is None else build.root / nsib.generated_key.value


def public_half(path: Path) -> PublicKey | None:
    """The public half of the key in a file of a build; None if it cannot be read."""
    try:
        return read_key_file(path).public
    except (SigningError, OSError):
        return None


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
