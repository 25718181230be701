"""The serial line of a virtual nRF52: SLIP frames to the secure bootloader in DFU mode, and nothing else.

The line may have a speed, and damage what it carries (``Traffic``). ``time_factor`` is how long the flash takes: 1 as
on the chip, 0 no time. Without flow control, what arrives while a page is erased is lost but for the UART's FIFO: the
CPU stands still meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smpdfu.link.pipe import Pipe
from smpdfu.securedfu.protocol.slip import encode
from smpdfu.virtual.line.timers import until
from smpdfu.virtual.line.traffic import NO_TRAFFIC, Traffic, TrafficPipe, arrived_at
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.slip_receiver import SlipReceiver
from smpdfu.virtual.wires.pty import serve_at_terminal

_FIFO_SIZE = 6
"""Bytes that the UART of an nRF52 keeps while nobody reads it (Product Specification, UART)."""


@dataclass(frozen=True, slots=True)
class DfuLine:
    """The line of a device."""

    traffic: Traffic = NO_TRAFFIC
    flow_control: bool = True
    time_factor: float = 0.0


DEFAULT_LINE = DfuLine()


async def serve_dfu(device: VirtualNrf52, pipe: Pipe, line: DfuLine = DEFAULT_LINE) -> None:
    """Be the device at the far end of an open ``pipe``, until the pipe is lost (LinkLostError) or this is cancelled."""
    if line.traffic == NO_TRAFFIC:
        await _Serving(device, pipe, line).serve()
        return
    wire = TrafficPipe(pipe, line.traffic)
    wire.start()
    try:
        await _Serving(device, wire, line).serve()
    finally:
        await wire.stop()


async def serve_dfu_pty(
    device: VirtualNrf52, ready: Callable[[str], None], link: Path | None = None, line: DfuLine = DEFAULT_LINE
) -> None:
    """Serve ``device`` at a pseudo terminal until cancelled; see ``serve_pty``. Raises ConnectError."""
    await serve_at_terminal(lambda pipe: serve_dfu(device, pipe, line), ready, link)


class Inactivity:
    """The timer of DFU mode that restarts a device whose host has gone away; used with ``async with`` of a loop."""

    def __init__(self, device: VirtualNrf52) -> None:
        self._device = device
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Inactivity:
        self._unwatch = self._device.watch_activity(self._restart)
        self._restart()
        return self

    def __exit__(self, *error: object) -> None:
        self._unwatch()
        self._stop()

    def _restart(self) -> None:
        self._stop()
        limit_s = self._device.trust.build.inactivity_s
        if limit_s and self._device.bootloader is not None:
            self._timer = asyncio.get_running_loop().call_later(limit_s, self._expire)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._device.give_up_dfu()


class _Serving:
    """One run of a wire. ``_free_at`` is when the chip has done what came before, by the loop's clock."""

    def __init__(self, device: VirtualNrf52, pipe: Pipe, line: DfuLine) -> None:
        self._device, self._pipe, self._line = device, pipe, line
        self._receiver = self._new_receiver()
        self._free_at = self._deaf_until = 0.0
        self._fifo_left = _FIFO_SIZE
        device.chip.flash.take_busy()

    def _new_receiver(self) -> SlipReceiver:
        return SlipReceiver(self._device.trust.build.mtu)

    async def serve(self) -> None:
        """Answer what comes."""
        unwatch = self._device.watch_power(self._forget)
        try:
            with Inactivity(self._device):
                while True:
                    data = await self._pipe.read()
                    at = arrived_at(self._pipe)
                    await self._receive(self._heard(data, at), at)
        finally:
            unwatch()
            self._device.finish_reset()

    def _heard(self, data: bytes, at: float) -> bytes:
        """What the UART gets of bytes that came at this time: all, but while the CPU stands still."""
        if self._line.flow_control or at >= self._deaf_until:
            self._fifo_left = _FIFO_SIZE
            return data
        heard = data[: self._fifo_left]
        self._fifo_left -= len(heard)
        return heard

    def _forget(self) -> None:
        self._receiver = self._new_receiver()

    async def _receive(self, data: bytes, at: float) -> None:
        if self._device.bootloader is None:
            return
        self._free_at = max(self._free_at, at)
        for message in self._receiver.feed(data):
            answer = self._device.handle(message)
            await self._work()
            if answer is not None:
                await self._send(encode(answer))
            if self._device.finish_reset():
                await self._work()
                return

    async def _work(self) -> None:
        """Take the time that the flash took."""
        flash = self._device.chip.flash
        busy_s = flash.take_busy()
        if busy_s and self._line.time_factor:
            self._free_at += busy_s * self._line.time_factor
            if busy_s >= flash.times.erase_s:
                self._deaf_until = self._free_at
            await until(self._free_at)

    async def _send(self, frame: bytes) -> None:
        if isinstance(self._pipe, TrafficPipe):
            self._free_at = await self._pipe.write_at(frame, self._free_at)
        else:
            await self._pipe.write(frame)
