"""Errors of images, keys and signatures."""

from __future__ import annotations

from smpdfu.errors.base import SmpdfuError


class ImageError(SmpdfuError):
    """An image, or the request to build one, is not valid."""


class FormatError(ImageError):
    """Bytes do not have the format they should have.

    ``offset`` is the position, in bytes, where reading failed; None when it has no position.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class TooLargeError(ImageError):
    """An image does not fit: ``size_bytes`` is more than ``limit_bytes``."""

    def __init__(self, message: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class SigningError(SmpdfuError):
    """Signing, encrypting or a key went wrong."""


class KeyFileError(SigningError):
    """A key cannot be read, is of the wrong kind, or is protected by a passphrase that was not given."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class PassphraseError(KeyFileError):
    """A key is protected, and its passphrase is missing or wrong."""


class WrongPassphraseError(PassphraseError):
    """A passphrase was given, and does not open the key."""


class SignatureError(SigningError):
    """A signature does not verify."""
