"""How long a transfer may take in all: a bound that a person sets, whatever the device does meanwhile."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from smpdfu.client.report import Report
from smpdfu.errors import TransferTimeoutError
from smpdfu.smp.transfer.upload import UploadProgress


class Deadline:
    """``async with Deadline("the upload", 60.0) as deadline``: raises TransferTimeoutError when the time is over.

    ``seconds`` None: no bound. What is reported through ``watched`` tells how far the transfer came.
    """

    def __init__(self, what: str, seconds: float | None) -> None:
        self._what = what
        self._seconds = seconds
        self._at: UploadProgress | None = None
        self._timer = asyncio.timeout(seconds)

    def watched(self, report: Report) -> Report:
        """``report``, and the progress is noted here."""

        def note(progress: UploadProgress) -> None:
            self._at = progress
            report(progress)

        return note

    async def __aenter__(self) -> Self:
        await self._timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError:
            assert self._seconds is not None, "there is no bound"
            done, total = (0, None) if self._at is None else (self._at.off, self._at.len)
            raise TransferTimeoutError(self._what, self._seconds, done, total) from None
