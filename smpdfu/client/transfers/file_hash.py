"""The hashes of files that Zephyr's fs group names, as far as they are known here."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from smpdfu.smp.groups.fs import FileHashReply

_BLOCK = 1 << 16


class Hash(Protocol):
    """What hashlib gives."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def digest(self) -> bytes:
        """The hash of all that was taken in, a number with its highest byte first."""


class _Crc32:
    def __init__(self) -> None:
        self.value = 0

    def update(self, data: bytes, /) -> None:
        self.value = zlib.crc32(data, self.value)

    def digest(self) -> bytes:
        return self.value.to_bytes(4, "big")


HASHES: dict[str, Callable[[], Hash]] = {"sha256": hashlib.sha256, "crc32": _Crc32}
"""The kinds of hash that Zephyr names and we can compute, the better first."""


def hash_of(kind: str) -> Hash:
    """A new hash of a kind of ``HASHES``."""
    return HASHES[kind]()


def hash_bytes(reply: FileHashReply) -> bytes:
    """The hash in an answer; a number with its highest byte first, in as many bytes as its kind has, if it is known."""
    if isinstance(reply.output, bytes):
        return reply.output
    size = len(hash_of(reply.type).digest()) if reply.type in HASHES else 0
    return reply.output.to_bytes(max(size, (reply.output.bit_length() + 7) // 8, 1), "big")


def blocks_of(file: BinaryIO, count: int) -> Iterator[bytes]:
    """The first ``count`` bytes of a seekable file, in pieces."""
    file.seek(0)
    while count > 0:
        block = file.read(min(count, _BLOCK))
        if not block:
            return
        count -= len(block)
        yield block
