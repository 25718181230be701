"""The shell around a transfer: does over a wire what the transfer wants, and keeps the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from smpdfu.errors import LinkError, LinkLostError
from smpdfu.securedfu.protocol.actions import Action, Await, Pace, SendRequest, TransferProgress, WriteData
from smpdfu.securedfu.protocol.transfer import Transfer
from smpdfu.securedfu.send.transport import Transport

TIMEOUT_S = 2.5
"""How long an answer may usually take: the device may erase a page before it, and write what waits."""
PING_S = 0.5
SLOW_S = 10.0
"""The same of a ping, and of the check of a signature or of a whole firmware."""
REOPEN_S, REOPEN_PAUSE_S = 10.0, 0.2
"""How long a lost link is opened again, and the pause between two attempts."""

Watch = Callable[[TransferProgress], None]


class Carrier:
    """Carries transfers over ``transport``, which must be open. ``timeout_s``: how long an answer may take."""

    def __init__(self, transport: Transport, timeout_s: float = TIMEOUT_S) -> None:
        if timeout_s <= 0:
            raise ValueError(f"no answer comes within {timeout_s} s")
        self._transport = transport
        self._timeout_s = timeout_s
        self._reading: asyncio.Task[bytes] | None = None
        self._backlog = 0

    def new_transfer(self, init_packet: bytes, firmware: bytes) -> Transfer:
        """Return a transfer in writes that fit the wire."""
        wire = self._transport
        return Transfer(
            init_packet,
            firmware,
            write_size=wire.write_size,
            receipts=wire.receipts,
            writes_max=wire.writes_max,
            pings=wire.pings,
            write_ahead=wire.write_ahead,
        )

    async def carry(self, transfer: Transfer, watch: Watch) -> None:
        """Carry out ``transfer``; ``watch`` gets its progress whenever that changed.

        Raises DfuRefusedError or LinkError. The connection is open afterwards, unless the device restarts.
        """
        seen = transfer.progress
        try:
            while (action := transfer.next_action()) is not None:
                await self._act(transfer, action)
                if transfer.progress != seen:
                    seen = transfer.progress
                    watch(seen)
        finally:
            await self._stop_reading()

    async def _act(self, transfer: Transfer, action: Action) -> None:
        try:
            if isinstance(action, Await):
                await self._await(transfer, action.pace)
            else:
                await self._send(transfer, action)
        except LinkLostError as error:
            await self._lost(transfer, error)

    async def _send(self, transfer: Transfer, action: SendRequest | WriteData) -> None:
        wire = self._transport
        try:
            async with asyncio.timeout(self._seconds(Pace.USUAL)):
                if isinstance(action, SendRequest):
                    self._backlog += len(action.message)
                    await wire.request(action.message)
                else:
                    self._backlog += len(action.data)
                    await wire.write_data(action.data)
        except TimeoutError:
            transfer.silence()
            return
        if wire.receipts and self._read_task().done():
            transfer.answered(self._take())

    async def _await(self, transfer: Transfer, pace: Pace) -> None:
        done, _ = await asyncio.wait({self._read_task()}, timeout=self._seconds(pace))
        if not done:
            transfer.silence()
            return
        self._backlog = 0
        transfer.answered(self._take())

    def _seconds(self, pace: Pace) -> float:
        """How long an answer may take, with what may still be on its way to the device."""
        usual = {Pace.QUICK: min(PING_S, self._timeout_s), Pace.SLOW: max(SLOW_S, self._timeout_s)}
        rate = self._transport.bytes_per_s
        return usual.get(pace, self._timeout_s) + (0.0 if rate is None else 2 * self._backlog / rate)

    async def _lost(self, transfer: Transfer, error: LinkLostError) -> None:
        """Open a lost link again; after the last request the device restarts, and there is nothing to open."""
        await self._stop_reading()
        self._backlog = 0
        if not transfer.ending and not await self._reopened():
            where = f"{transfer.off} of {transfer.len} bytes of the firmware are in the device"
            raise LinkLostError(f"{error}; {where}") from error
        transfer.link_lost()

    async def _reopened(self) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + REOPEN_S
        while loop.time() < end:
            await asyncio.sleep(REOPEN_PAUSE_S)
            with suppress(LinkError):
                await self._transport.open()
                return True
        return False

    # --- reading, while something else is sent ------------------------------------------------------------------------

    def _read_task(self) -> asyncio.Task[bytes]:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._transport.read())
        return self._reading

    def _take(self) -> bytes:
        """The message that was read. Raises LinkLostError."""
        task, self._reading = self._reading, None
        assert task is not None
        return task.result()

    async def _stop_reading(self) -> None:
        task, self._reading = self._reading, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # it was lost at the same time; that is known by now
