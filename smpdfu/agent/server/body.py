"""The body of an answer, read within bounds: so many bytes on the wire, so many when unpacked."""

from __future__ import annotations

import zlib

import aiohttp

from smpdfu.errors import ServerProtocolError

_PIECE_BYTES = 1 << 16
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body, unpacked, of at most ``limit`` bytes. Raises ``ServerProtocolError`` for more."""
    too_large = ServerProtocolError(f"the server's answer is larger than {limit >> 10} KiB")
    if (response.content_length or 0) > limit:
        raise too_large
    unpack = _unpacker(response.headers.get("Content-Encoding", ""))
    data = bytearray()
    packed_bytes = 0
    while piece := await response.content.read(_PIECE_BYTES):
        packed_bytes += len(piece)
        if packed_bytes > limit:
            raise too_large
        data += piece if unpack is None else _unpacked(unpack, piece, limit + 1 - len(data))
        if len(data) > limit:
            raise too_large
    if unpack is not None and not unpack.eof and packed_bytes:
        raise ServerProtocolError("the server's answer is packed, and ends too early")
    return bytes(data)


def _unpacker(encoding: str) -> zlib._Decompress | None:
    word = encoding.strip().lower()
    if word in ("", "identity"):
        return None
    if word in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(_GZIP_OR_ZLIB)
    raise ServerProtocolError("the server packs its answer in a way that smpdfu did not ask for")


def _unpacked(unpack: zlib._Decompress, piece: bytes, room: int) -> bytes:
    try:
        return unpack.decompress(piece, room)
    except zlib.error:
        raise ServerProtocolError("the server's answer is packed, and damaged") from None
