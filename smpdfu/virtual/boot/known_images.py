"""Images that were read before: the same pieces of flash are not read as an image again."""

from __future__ import annotations

from functools import lru_cache

from smpdfu.image.format import Image

Pieces = tuple[bytes, ...]
"""What is in a part of flash, see ``Flash.pieces``: equal pieces are the same bytes."""

_KEPT = 16


@lru_cache(maxsize=_KEPT)
def image_in(pieces: Pieces) -> Image:
    """The image that begins with the first of these pieces; raises ``FormatError``."""
    return Image.from_bytes(b"".join(pieces))
