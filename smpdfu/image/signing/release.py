"""Keys that everybody has: a warning while one develops, an error in an image for customers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smpdfu.errors import SigningError
from smpdfu.image.keys.known_keys import known_key, known_key_warnings, known_signers

if TYPE_CHECKING:
    from smpdfu.image.format import Image
    from smpdfu.image.keys.keys import PublicHalf
    from smpdfu.image.signing.encrypt import Recipient


def key_warnings(signers: Iterable[PublicHalf], recipient: Recipient | None, *, release: bool) -> tuple[str, ...]:
    """Return the warnings about the keys of an image that is about to be made.

    With ``release``, raises SigningError for the first of them, and for an image that nobody signs.
    """
    signing = [signer.public_bytes for signer in signers]
    if release and not signing:
        raise SigningError("the image has no signature, so it cannot be released").because("release-without-key")
    return weighed(known_key_warnings(signing, [] if recipient is None else [_bytes_of(recipient)]), release=release)


def image_warnings(image: Image, *, release: bool) -> tuple[str, ...]:
    """Return the warnings about who signed an image; with ``release``, raises SigningError for the first of them."""
    names = dict.fromkeys(known_signers(image))
    sentences = tuple(f"the image is signed with {name}: anybody can sign with it" for name in names)
    return weighed(sentences, release=release)


def provenance_warnings(key: PublicHalf, *, release: bool) -> tuple[str, ...]:
    """Return the warning about the key that signs a provenance; with ``release``, raises SigningError for it."""
    name = known_key(key.public_bytes)
    sentence = f"the provenance is signed with {name}: anybody can sign with it"
    return weighed(() if name is None else (sentence,), release=release)


def weighed(sentences: tuple[str, ...], *, release: bool) -> tuple[str, ...]:
    """Return sentences about keys that everybody has; with ``release``, raises SigningError for the first of them."""
    if release and sentences:
        raise SigningError(f"{sentences[0]}, so it cannot be released")
    return sentences


def _bytes_of(recipient: Recipient) -> bytes:
    """Return what the fingerprint of a key that encrypts is taken of; a symmetric one has no public half."""
    from smpdfu.image.keys.keys import PublicKey  # here: it loads cryptography, and most images are not encrypted

    return recipient.public_bytes if isinstance(recipient, PublicKey) else recipient.raw
