"""Secure DFU over a serial line: UARTs with flow control, USB CDC without, in SLIP frames.

A bootloader with USB is the device 1915:521f. It leaves USB when it restarts, and comes back as itself or as the
application. A UART is silent when the application runs, so that nobody can tell it from a device that does nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from smpdfu.errors import FormatError, LinkError
from smpdfu.link.serial.pipe import BAUDRATE, Holders, SerialPipe, list_serial_ports, nobody_known, usb_port
from smpdfu.link.serial.usb_identity import Port, at_the_same_place, find_again
from smpdfu.local.doctor.usb_vendors import SEGGER
from smpdfu.securedfu.protocol import slip
from smpdfu.securedfu.protocol.messages import ANSWER_MAX, Answer, Opcode, Ping, WriteObject
from smpdfu.securedfu.send.transport import CameBack

BOOTLOADER_USB_ID = "1915:521f"
LOOK_EVERY_S = 0.25
"""How often the ports are listed, and the pause between two pings, while a device restarts."""
SURE_S = 1.0
"""What answers before that is the bootloader on its way into the restart."""
BITS_PER_BYTE = 10

Ports = Callable[[], Sequence[Port]]


class SerialTransport:
    """The bootloader at the serial port ``port``. Implements ``Transport``.

    ``flow_control``: by RTS and CTS; None: on a UART, and not on the USB of the device itself. ``pace`` and ``holders``
    are those of ``SerialPipe``; ``ports`` lists the ports of this computer.
    """

    pings = True
    starts_bootloader = False
    write_size = None
    receipts = writes_max = 0

    def __init__(
        self,
        port: str,
        baudrate: int = BAUDRATE,
        *,
        flow_control: bool | None = None,
        pace: int | None = None,
        holders: Holders = nobody_known,
        ports: Ports = list_serial_ports,
    ) -> None:
        self._pipe = SerialPipe(port, baudrate, pace=pace, holders=holders)
        self._flow_control = flow_control
        self._ports = ports
        self._usb: Port | None = None
        self._looked = False
        self._restart()

    def _restart(self) -> None:
        self._decoder = slip.SlipDecoder(ANSWER_MAX)
        self._messages: deque[bytes] = deque()

    @property
    def name(self) -> str:
        return self._pipe.name

    @property
    def bytes_per_s(self) -> float | None:
        """The rate of the UART; None on the USB of the device itself, where the baud rate means nothing."""
        return None if self._is_own_usb else self._pipe.baudrate / BITS_PER_BYTE

    @property
    def write_ahead(self) -> bool:
        return self._is_own_usb or self._pipe.flow_control

    @property
    def through_debugger(self) -> bool | None:
        return None if self._usb is None else str(self._usb.usb_id).startswith(f"{SEGGER}:")

    @property
    def _is_own_usb(self) -> bool:
        return self._usb is not None and self._usb.usb_id == BOOTLOADER_USB_ID

    async def open(self) -> None:
        """Open the port. Raises ConnectError."""
        if not self._looked:
            self._usb = await asyncio.to_thread(usb_port, self._pipe.name)
            self._looked = True
        self._pipe.flow_control = not self._is_own_usb if self._flow_control is None else self._flow_control
        self._restart()
        await self._pipe.open()

    async def close(self) -> None:
        """Close the port."""
        await self._pipe.close()

    async def request(self, message: bytes) -> None:
        """Send a request in a frame."""
        await self._pipe.write(slip.encode(message))

    async def write_data(self, data: bytes) -> None:
        """Send bytes of an object in a frame."""
        await self._pipe.write(slip.encode(WriteObject(data).to_bytes()))

    async def read(self) -> bytes:
        """Wait for a frame and return its message; no bytes for a damaged one."""
        while not self._messages:
            damaged = self._decoder.damaged
            self._messages += self._decoder.feed(await self._pipe.read())
            self._messages += [b""] * (self._decoder.damaged - damaged)
        return self._messages.popleft()

    async def came_back(self, within_s: float) -> CameBack:
        """Watch the device: on USB what it is there, on a UART whether its bootloader answers pings."""
        try:
            async with asyncio.timeout(within_s):
                return await self._watch()
        except TimeoutError:
            return CameBack.UNKNOWN
        finally:
            await self.close()

    async def _watch(self) -> CameBack:
        await asyncio.sleep(SURE_S)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._is_own_usb and await self._is_another_usb_device():
                return CameBack.APPLICATION
            with suppress(LinkError):
                if not self._pipe.is_open:
                    await self.open()
                if await self._answers_ping():
                    return CameBack.BOOTLOADER
                continue
            await self.close()  # it left USB: wait until it is back

    async def _is_another_usb_device(self) -> bool:
        """True if the device is on USB as something else than its bootloader."""
        assert self._usb is not None
        ports = await asyncio.to_thread(self._ports)
        again = find_again(self._usb, ports)
        here = [port for port in ports if port.name == again or at_the_same_place(self._usb, port)]
        return bool(here) and all(port.usb_id != BOOTLOADER_USB_ID for port in here)

    async def _answers_ping(self) -> bool:
        await self.request(Ping(0).to_bytes())
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                while True:
                    with suppress(FormatError):
                        if Answer.from_bytes(await self.read()).opcode == Opcode.PING:
                            return True
        except TimeoutError:
            return False
