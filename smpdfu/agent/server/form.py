"""A file as the form of a request (multipart/form-data, RFC 7578), sent piece by piece."""

from __future__ import annotations

import io
from collections.abc import Callable

import aiohttp


class _Counted(io.BytesIO):
    """Bytes that tell how many of them were read."""

    def __init__(self, data: bytes, read: Callable[[int], None]) -> None:
        super().__init__(data)
        self._told = read

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if data:
            self._told(self.tell())
        return data


def file_form(file: str, data: bytes, sent: Callable[[int], None]) -> aiohttp.Payload:
    """Return the form with one field ``file``. ``sent`` is told how many bytes of ``data`` are on their way."""
    form = aiohttp.FormData()
    form.add_field("file", _Counted(data, sent), filename=file, content_type="application/octet-stream")
    payload: aiohttp.Payload = form()
    return payload
