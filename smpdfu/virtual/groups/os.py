"""Group 0, os, as the application on the application core serves it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/os_mgmt/src/os_mgmt.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

from smpdfu.image.trailer import SwapMode
from smpdfu.smp.groups.os import (
    BootloaderInfo,
    BootloaderInfoReply,
    BootloaderMode,
    Echo,
    EchoReply,
    Info,
    InfoReply,
    OsRc,
    Params,
    ParamsReply,
    Reset,
)
from smpdfu.smp.message import Empty
from smpdfu.virtual.server import Buffers, Refused

MODES = {
    SwapMode.SCRATCH: BootloaderMode.SWAP_USING_SCRATCH,
    SwapMode.MOVE: BootloaderMode.SWAP_USING_MOVE,
    SwapMode.OFFSET: BootloaderMode.SWAP_USING_OFFSET,
    SwapMode.OVERWRITE_ONLY: BootloaderMode.OVERWRITE_ONLY,
}

_LETTERS = "snrvbmpio"  # in the order in which the answer has them, whatever the order of the question


@dataclass(frozen=True, slots=True)
class Build:
    """What ``os info`` tells, in the order of the answer."""

    kernel: str = "Zephyr"
    node: str = "unknown"
    release: str = "684c9e8f32e4"
    version: str = "4.4.0"
    built: str = "Wed Jun  3 22:21:59 2026"
    machine: str = "arm"
    processor: str = "cortex-m33"
    platform: str = "nrf5340dk/nrf5340/cpuapp"
    system: str = "Zephyr"


@dataclass(frozen=True, slots=True)
class OsGroup:
    """Handlers. ``reset`` is called with the ``boot_mode`` asked for; it must let the answer go out first."""

    build: Build
    mode: SwapMode
    buffers: Buffers
    reset: Callable[[int], None]

    def on_echo(self, request: Echo) -> EchoReply:
        """The text, as it came."""
        return EchoReply(request.d)

    def on_reset(self, request: Reset) -> Empty:
        """Answer, then restart."""
        self.reset(request.boot_mode or 0)
        return Empty()

    def on_params(self, request: Params) -> ParamsReply:
        """The pool of buffers."""
        return ParamsReply(self.buffers.size_bytes, self.buffers.count)

    def on_info(self, request: Info) -> InfoReply:
        """The facts that the letters ask for; the kernel's name without any."""
        letters = request.format or "s"
        if set(letters) - {*_LETTERS, "a"}:
            raise Refused(OsRc.INVALID_FORMAT)
        facts = zip(_LETTERS, astuple(self.build), strict=True)
        return InfoReply(" ".join(fact for letter, fact in facts if letter in letters or "a" in letters))

    def on_bootloader_info(self, request: BootloaderInfo) -> BootloaderInfoReply:
        """The bootloader's name, or how it updates."""
        if not request.query:
            return BootloaderInfoReply(bootloader="MCUboot")
        if request.query != "mode":
            raise Refused(OsRc.QUERY_YIELDS_NO_ANSWER)
        return BootloaderInfoReply(mode=MODES[self.mode])
