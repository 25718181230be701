"""The network core: its flash, its bootloader b0n, and the hand-over of new firmware by PCD.

The application core cannot write this flash. MCUboot leaves a command in RAM that both cores share and lets the network
core run; b0n checks the firmware where it lies, copies it, checks it again and answers in the same RAM. There is no
second slot and no way back. At a plain start b0n checks nothing: it boots what has firmware info, half an image too.
Source: ``subsys/pcd`` and ``samples/nrf5340/netboot`` of the nRF Connect SDK.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.firmware_info import INFO_BYTES, INFO_OFFSETS, FirmwareInfo
from smpdfu.image.nsib.seal import refusal as nsib_refusal
from smpdfu.image.vector_table import Vectors
from smpdfu.virtual.chip.flash import Area, Bus, Flash, FlashError
from smpdfu.virtual.chip.layout import Layout
from smpdfu.virtual.chip.storage import ERASED

_COMMAND = struct.Struct("<IIII")
COPY = 0xB5B4B3B6
FAIL = 0x25BAFC15
DONE = 0xF103CE5D


class B0n(StrEnum):
    """How b0n decides about new firmware: by its seal and the provisioned keys, or, to try it out, always alike.

    A SILENT one never answers: a network core that does not start, or whose b0n crashes.
    """

    KEYS = "keys"
    ACCEPTS = "accepts"
    REFUSES = "refuses"
    SILENT = "silent"


class SilentError(Exception):
    """MCUboot waits for an answer of b0n that never comes (``pcd.c`` knows no time limit)."""


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
    """The network core of a device. ``running`` tells that its application was started.

    With ``keys``, b0n is provisioned: it takes firmware that is sealed for it (``nsib.seal``) and signed with one of
    them. Without, it also takes firmware without any seal, as plain Zephyr builds it, if that is linked for its slot.
    ``b0n`` is another way to decide.
    """

    def __init__(
        self,
        flash: Flash,
        layout: Layout,
        keys: tuple[Verifier, ...],
        log: Callable[[str], None],
        b0n: B0n = B0n.KEYS,
    ) -> None:
        self.flash = flash
        self.layout = layout.net
        self.keys = keys
        self._log = log
        self._b0n = b0n
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
        if self._b0n is B0n.SILENT:
            return
        if command.magic == COPY:
            self._answer(command, DONE if self._obey(command, bus) else FAIL)
            return
        firmware = self._first_bytes()
        self.running = FirmwareInfo.find(firmware) is not None or self._is_plain(firmware)

    @property
    def is_whole(self) -> bool:
        """False for what a cut left of a copy: b0n starts it, and it does not work."""
        firmware = self.app.read_all()
        if FirmwareInfo.find(firmware) is None:
            return self._is_plain(firmware)
        return nsib_refusal(firmware, self.layout.app.start, ()) is None

    def version(self) -> int | None:
        """What b0n answers to a request for the firmware's version; None for an error. Raises ``SilentError``."""
        if self._b0n is B0n.SILENT:
            raise SilentError
        info = FirmwareInfo.find(self._first_bytes())
        return None if info is None else info.version

    def _first_bytes(self) -> bytes:
        """As much of the application as tells whether it has firmware info or a vector table."""
        return self.app.read(0, min(max(INFO_OFFSETS) + INFO_BYTES, self.app.size_bytes))

    def _answer(self, command: PcdCommand, magic: int) -> None:
        self.ram[:] = PcdCommand(magic, command.source, command.length, command.offset).to_bytes()

    def _obey(self, command: PcdCommand, bus: Bus) -> bool:
        firmware = _readable(bus, command.source, command.length)
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
        return self._b0n is B0n.ACCEPTS or self._refusal(self.app.read_all()) is None

    def _copy(self, firmware: bytes, target: int) -> None:
        page = self.flash.page_size
        for offset in range(0, len(firmware), page):
            chunk = firmware[offset : offset + page]
            padding = bytes([ERASED]) * (-len(chunk) % self.flash.write_size)
            self.flash.erase(target + offset, page)
            self.flash.program(target + offset, chunk + padding)

    def _refusal(self, firmware: bytes) -> str | None:
        if self._b0n is not B0n.KEYS and firmware:
            return None if self._b0n is B0n.ACCEPTS else "Firmware validation failed."
        if not self.keys and FirmwareInfo.find(firmware) is None:
            return None if self._is_plain(firmware) else "Invalid firmware info format."
        return nsib_refusal(firmware, self.layout.app.start, self.keys)

    def _is_plain(self, firmware: bytes) -> bool:
        """True for firmware without any seal that an unprovisioned b0n starts."""
        vectors = Vectors.of(firmware)
        return not self.keys and vectors is not None and vectors.reset in self.layout.app


def _readable(bus: Bus, source: int, length: int) -> bytes:
    """What b0n finds at an address; nothing where the command leads out of all memories."""
    try:
        return bus.read(source, length)
    except FlashError:
        return b""


@dataclass(frozen=True, slots=True)
class HandOver:
    """How a hand-over ended: whether b0n took the firmware, and how long MCUboot waited for that."""

    done: bool
    seconds: float


def update_network_core(net: NetCore, bus: Bus, source: int, length: int, log: Callable[[str], None]) -> HandOver:
    """MCUboot's side of PCD: have ``length`` bytes at ``source``, which the network core reads on ``bus``, taken over.

    MCUboot looks once a second whether b0n is ready. Raises ``SilentError`` if it never is, and ``PowerCut``.
    """
    net.hold()
    offset = net.layout.app.start - net.layout.flash.start
    net.ram[:] = PcdCommand(COPY, source, length, offset).to_bytes()
    log("I: Turned on network core")
    before_s = net.flash.busy_s
    net.start(bus)
    answer = PcdCommand.from_bytes(net.ram).magic
    if answer == COPY:
        raise SilentError
    seconds = float(max(math.ceil(net.flash.busy_s - before_s), 1))
    if answer != DONE:
        log("E: Network core update failed")
        return HandOver(False, seconds)
    net.hold()
    log("I: Turned off network core")
    return HandOver(True, seconds)
