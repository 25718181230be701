"""The network core: its flash, its bootloader b0n, and the hand-over of new firmware by PCD.

The application core cannot write this flash. MCUboot leaves a command in RAM that both cores share and lets the network
core run; b0n checks the firmware where it lies, copies it, checks it again and answers in the same RAM. There is no
second slot and no way back. Source: ``subsys/pcd`` and ``samples/nrf5340/netboot`` of the nRF Connect SDK.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from smpdfu.image import b0n
from smpdfu.image.keys import Verifier
from smpdfu.image.linked import Vectors
from smpdfu.virtual.flash import Area, Bus, Flash
from smpdfu.virtual.layout import Layout, Region
from smpdfu.virtual.storage import ERASED

_COMMAND = struct.Struct("<IIII")
COPY = 0xB5B4B3B6
FAIL = 0x25BAFC15
DONE = 0xF103CE5D


@dataclass(frozen=True, slots=True)
class PcdCommand:
    """``struct pcd_cmd``: copy ``length`` bytes from the absolute address ``source`` to ``offset`` in network flash.

    ``magic`` is ``COPY`` from MCUboot, ``DONE`` or ``FAIL`` from b0n.
    """

    magic: int
    source: int
    length: int
    offset: int

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> PcdCommand:
        """Read 16 bytes."""
        return cls(*_COMMAND.unpack(data))

    def to_bytes(self) -> bytes:
        """The 16 bytes."""
        return _COMMAND.pack(self.magic, self.source, self.length, self.offset)


class NetCore:
    """The network core of a device. ``running`` tells that its application was started and the radio lives.

    With ``keys``, b0n is provisioned: it takes firmware that is sealed for it (``b0n.seal``) and signed with one of
    them. Without, it also takes firmware without any seal, as plain Zephyr builds it, if that is linked for its slot.
    """

    def __init__(self, flash: Flash, layout: Layout, keys: tuple[Verifier, ...], log: Callable[[str], None]) -> None:
        self.flash, self.layout, self.keys, self._log = flash, layout.net, keys, log
        self.running = False
        self.ram = bytearray(_COMMAND.size)

    @property
    def app(self) -> Area:
        """The flash of the network core's application."""
        return Area(self.flash, self.layout.app)

    def power_off(self) -> None:
        """The power is gone: the shared RAM is forgotten."""
        self.hold()
        self.ram[:] = bytes(len(self.ram))

    def hold(self) -> None:
        """Hold the core in reset."""
        self.running = False

    def start(self, bus: Bus) -> None:
        """Release the core from reset: b0n obeys the command in RAM, or starts the application.

        ``bus`` is what b0n can read of the application core's memories. Raises ``PowerCut``.
        """
        command = PcdCommand.from_bytes(self.ram)
        if command.magic == COPY:
            self._answer(command, DONE if self._obey(command, bus) else FAIL)
            return
        reason = self._refusal(self.app.read_all())
        if reason is not None:
            self._log(reason)
        self.running = reason is None

    def _answer(self, command: PcdCommand, magic: int) -> None:
        self.ram[:] = PcdCommand(magic, command.source, command.length, command.offset).to_bytes()

    def _obey(self, command: PcdCommand, bus: Bus) -> bool:
        firmware = bus.read(command.source, command.length)
        reason = self._refusal(firmware)
        if reason is not None:
            self._log(reason)
            self._log(f"Unable to find valid firmware inside 0x{command.source:x}")
            return False
        target = self.layout.flash.start + command.offset
        if target + len(firmware) > self.layout.flash.end:
            self._log("Failed to transfer image: -12")
            return False
        self._copy(firmware, target)
        return self._refusal(self.app.read_all()) is None

    def _copy(self, firmware: bytes, target: int) -> None:
        page = self.flash.page_size
        for offset in range(0, len(firmware), page):
            chunk = firmware[offset : offset + page]
            padding = bytes([ERASED]) * (-len(chunk) % self.flash.write_size)
            self.flash.erase(target + offset, page)
            self.flash.program(target + offset, chunk + padding)

    def _refusal(self, firmware: bytes) -> str | None:
        if not self.keys and b0n.FirmwareInfo.find(firmware) is None:
            vectors = Vectors.of(firmware)
            linked_here = vectors is not None and vectors.reset in self.layout.app
            return None if linked_here else "Invalid firmware info format."
        return b0n.refusal(firmware, self.layout.app.start, self.keys)


@dataclass(frozen=True, slots=True)
class HandOver:
    """How a hand-over ended: whether b0n took the firmware, and how long MCUboot waited for that."""

    done: bool
    seconds: float


def update_network_core(net: NetCore, bus: Bus, firmware: Region, log: Callable[[str], None]) -> HandOver:
    """MCUboot's side of PCD: have ``firmware``, which the network core can read on ``bus``, taken over.

    MCUboot looks once a second whether b0n is ready. Raises ``PowerCut``.
    """
    net.hold()
    offset = net.layout.app.start - net.layout.flash.start
    net.ram[:] = PcdCommand(COPY, firmware.start, firmware.size_bytes, offset).to_bytes()
    log("I: Turned on network core")
    before_s = net.flash.busy_s
    net.start(bus)
    seconds = float(max(math.ceil(net.flash.busy_s - before_s), 1))
    if PcdCommand.from_bytes(net.ram).magic != DONE:
        log("E: Network core update failed")
        return HandOver(False, seconds)
    net.hold()
    log("I: Turned off network core")
    return HandOver(True, seconds)
