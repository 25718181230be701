"""Cut an image into upload requests of the right length."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from smpdfu.errors import LocalProtocolError
from smpdfu.smp.cbor import head_size
from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.message import HEADER_SIZE
from smpdfu.smp.session import Ticket

IMAGE_HEADER_SIZE = 32
"""Bytes of the image that a server must see in the first chunk."""
_UNIT = 32  # a multiple of every write block: MCUboot's recovery takes only whole ones
_SHORT_UNIT = 4
_SHORTEST_HALF = 128


@dataclass(slots=True, eq=False)
class Chunk:
    """A piece of an image: the same object however often it is sent.

    ``end`` is the offset after it, ``limit`` the longest message for which it was cut. ``number`` is the place of its
    last copy among the copies of all chunks. ``losses`` counts its copies that were lost.

    The sender keeps the other fields, in seconds of its own clock. ``ticket`` waits for the answer. The first and the
    last copy left at ``first_at`` and ``last_at``, with ``wire_size`` bytes each. ``unanswered`` counts the copies
    without an answer or a refusal. ``heard_at`` is the time of the latest answer, 0 if there was none.
    """

    request: ImageUpload
    end: int
    limit: int
    sends: int = 0
    losses: int = 0
    number: int = 0
    ticket: Ticket | None = None
    first_at: float = 0.0
    last_at: float = 0.0
    wire_size: int = 0
    unanswered: int = 0
    heard_at: float = 0.0

    @property
    def first(self) -> bool:
        """True for the chunk that opens an upload."""
        return self.request.len is not None


class Cutter:
    """Cuts ``data`` into chunks whose messages have at most ``message_max`` bytes. The first chunk has ``sha``.

    The first chunk has ``image`` if that is not 0. With ``names_image``, every chunk has it.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        message_max: int,
        image: int,
        upgrade: bool,
        *,
        names_image: bool = False,
    ) -> None:
        self._data = memoryview(data).cast("B")
        if not 0 < len(self._data) <= 0xFFFFFFFF:
            raise ValueError(f"an upload has 1 to 2**32 - 1 bytes, not {len(self._data)}")
        self._image = image if image or names_image else None
        self._upgrade = upgrade
        self._further_image = image if names_image else None
        bare = ImageUpload(image=self._further_image, off=0)
        self._overhead = HEADER_SIZE + len(bare.to_body()) - 2  # without the heads of off and data
        self._first_max = self._further_max = message_max
        self.total = len(self._data)
        self.sha: bytes | None = hashlib.sha256(self._data).digest()

    def first(self) -> Chunk:
        """Cut the chunk that opens the upload. Raises LocalProtocolError if messages are too short for it."""
        sha = self.sha
        while True:
            opening = ImageUpload(image=self._image, off=0, len=self.total, sha=sha, upgrade=self._upgrade or None)
            size = self._size(0, self._first_max - HEADER_SIZE - len(opening.to_body()) + 1)
            if size >= min(IMAGE_HEADER_SIZE, self.total):
                return Chunk(replace(opening, data=bytes(self._data[:size])), size, self._first_max)
            if not sha:
                raise LocalProtocolError(f"an upload cannot begin with messages of {self._first_max} bytes")
            sha = sha[: len(sha) - 8] or None  # a shorter one still identifies this upload

    def further(self, off: int) -> Chunk:
        """Cut the chunk that starts at ``off``."""
        end = self.further_end(off)
        piece = ImageUpload(image=self._further_image, off=off, data=bytes(self._data[off:end]))
        return Chunk(piece, end, self._further_max)

    def further_end(self, off: int) -> int:
        """Return where the chunk that starts at ``off`` ends."""
        return off + self._size(off, self._further_max - self._overhead - head_size(off))

    def halve(self, chunk: Chunk) -> bool:
        """Cut the next chunks half as long as ``chunk``; return False if that is too short."""
        if chunk.limit < 2 * _SHORTEST_HALF:
            return False
        # A first chunk may only be slow, because the device erases. That says nothing about the next ones.
        if chunk.first:
            self._first_max = chunk.limit // 2
        else:
            self._further_max = chunk.limit // 2
        return True

    def shorten(self, message_max: int) -> None:
        """Limit the next messages to ``message_max`` bytes. A limit that is higher than before has no effect."""
        self._first_max, self._further_max = min(self._first_max, message_max), min(self._further_max, message_max)

    def count(self, off: int) -> int:
        """Estimate the number of chunks from ``off`` on."""
        return -(-(self.total - off) // max(self._further_max - self._overhead, 1))

    def _size(self, off: int, room: int) -> int:
        """Return how many bytes of data from ``off`` fit into ``room``, with their head."""
        size = max(room - 1, 0)
        while size > 0 and size + head_size(size) > room:
            size -= 1
        if off + size >= self.total:
            return self.total - off
        return size // _UNIT * _UNIT or size // _SHORT_UNIT * _SHORT_UNIT
