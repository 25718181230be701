"""``--release``: what is a warning while one develops is an error when customers get it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.errors import SigningError

if TYPE_CHECKING:
    from smpdfu.cli.image.key_files import Order
    from smpdfu.image.format import Image
    from smpdfu.image.keys.keys import PublicHalf
    from smpdfu.image.signing.encrypt import Recipient


@dataclass(frozen=True, slots=True)
class Release:
    """Whether this is for customers."""

    release: Annotated[
        bool,
        typer.Option(
            "--release", help="Refuse an image without a signature, and keys that everybody has (sample and dev- keys)."
        ),
    ] = False

    def of_order(self, order: Order) -> tuple[str, ...]:
        """The warnings about an image that is about to be made."""
        return self.of_keys(order.signers, order.recipient)

    def of_keys(self, signers: Iterable[PublicHalf], recipient: Recipient | None) -> tuple[str, ...]:
        """The warnings about who signs and for whom is encrypted; SigningError instead with ``--release``."""
        from smpdfu.image.keys.known_keys import known_key_warnings

        signing = [signer.public_bytes for signer in signers]
        if self.release and not signing:
            raise SigningError("nothing signs this image, so this is no release: give a key with -k")
        return self._weigh(known_key_warnings(signing, [] if recipient is None else [_bytes_of(recipient)]))

    def of_image(self, image: Image) -> tuple[str, ...]:
        """The warnings about who signed an image; SigningError instead with ``--release``."""
        from smpdfu.image.keys.known_keys import known_signers

        names = dict.fromkeys(known_signers(image))
        return self._weigh(tuple(f"the image is signed with {name}: anybody can sign with it" for name in names))

    def _weigh(self, sentences: tuple[str, ...]) -> tuple[str, ...]:
        for sentence in sentences if self.release else ():
            raise SigningError(f"{sentence}, so this is no release")
        return sentences


def _bytes_of(recipient: Recipient) -> bytes:
    """What the fingerprint of a key that encrypts is taken of; a symmetric one has no public half."""
    from smpdfu.image.keys.keys import PublicKey

    return recipient.public_bytes if isinstance(recipient, PublicKey) else recipient.raw
