"""An image cut into upload requests of the right length."""

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

    ``end`` is the offset behind it, ``limit`` the bound on its message that it was cut for, ``number`` the place of its
    last copy among all copies of all chunks; ``losses`` of its copies were bad events.

    Whoever sends it keeps the rest, in seconds of its own clock: ``ticket`` waits for the answer, ``first_at`` and
    ``last_at`` are when its first and last copy went out, with ``wire_size`` bytes each. ``unanswered`` copies were
    neither answered nor refused yet. ``heard_at`` is when the latest answer came, 0 if none did.
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
    """Makes chunks of ``data`` whose messages have ``message_max`` bytes at most; ``sha`` goes into the first.

    ``image`` is in the first one if it is not 0; with ``names_image`` it is in each, whatever it is.
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
        self._further = ImageUpload(image=image if names_image else None, off=0)
        self._overhead = HEADER_SIZE + len(self._further.to_body()) - 2  # without the heads of off and data
        self._first_max = self._further_max = message_max
        self.total = len(self._data)
        self.sha: bytes | None = hashlib.sha256(self._data).digest()

    def first(self) -> Chunk:
        """The chunk that opens the upload; LocalProtocolError if messages are too short for one."""
        sha = self.sha
        while True:
            opening = ImageUpload(image=self._image, off=0, len=self.total, sha=sha, upgrade=self._upgrade or None)
            size = self._size(0, self._first_max - HEADER_SIZE - len(opening.to_body()) + 1)
            if size >= min(IMAGE_HEADER_SIZE, self.total):
                return Chunk(replace(opening, data=bytes(self._data[:size])), size, self._first_max)
            if not sha:
                raise LocalProtocolError(f"an upload cannot begin with messages of {self._first_max} bytes")
            sha = sha[: len(sha) - 8] or None  # a shorter one still tells this upload from others

    def further(self, off: int) -> Chunk:
        """The chunk that starts at ``off``."""
        end = off + self._size(off, self._further_max - self._overhead - head_size(off))
        return Chunk(replace(self._further, off=off, data=bytes(self._data[off:end])), end, self._further_max)

    def halve(self, chunk: Chunk) -> bool:
        """Make chunks half as long as ``chunk`` from now on; False if that would be too short."""
        if chunk.limit < 2 * _SHORTEST_HALF:
            return False
        # A first chunk may only be slow, for the device erases: that says nothing about further ones.
        if chunk.first:
            self._first_max = chunk.limit // 2
        else:
            self._further_max = chunk.limit // 2
        return True

    def shorten(self, message_max: int) -> None:
        """Messages have ``message_max`` bytes at most from now on; more than before is not taken up."""
        self._first_max, self._further_max = min(self._first_max, message_max), min(self._further_max, message_max)

    def count(self, off: int) -> int:
        """About how many chunks there are from ``off`` on."""
        return -(-(self.total - off) // max(self._further_max - self._overhead, 1))

    def _size(self, off: int, room: int) -> int:
        """Bytes of data from ``off`` that fit, with their head, into ``room``."""
        size = max(room - 1, 0)
        while size > 0 and size + head_size(size) > room:
            size -= 1
        if off + size >= self.total:
            return self.total - off
        return size // _UNIT * _UNIT or size // _SHORT_UNIT * _SHORT_UNIT
