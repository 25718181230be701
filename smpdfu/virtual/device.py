"""A virtual nRF5340: the flash of both cores, the bootloaders, and the application's SMP server on a wire.

What a wire delivers is answered at once, or not at all: a device that found nothing to boot, or runs code that cannot
run, is as silent as the chip. Boot log lines go out on the console between the frames. Nothing here waits but the
reset, which lets its answer go out first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from smpdfu.errors import FormatError, LinkLostError, TooLargeError
from smpdfu.image.format import Image
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing
from smpdfu.virtual.bootloader import BootKeys, BootResult, RunningImage, boot
from smpdfu.virtual.content import content_of
from smpdfu.virtual.flash import Area, Flash, PowerCut
from smpdfu.virtual.groups.image import ImageGroup, Progress
from smpdfu.virtual.groups.os import Build, OsGroup
from smpdfu.virtual.layout import Layout, Region
from smpdfu.virtual.netcore import NetCore
from smpdfu.virtual.server import DEFAULT_BUFFERS, Server
from smpdfu.virtual.slot import Slots

RESET_DELAY_S = 0.25
"""From the answer to a reset until it happens (CONFIG_MCUMGR_GRP_OS_RESET_MS)."""
LOG_LINES = 1000
BUILD = Build()

Watcher = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ram:
    """What a device knows while its power is on, and a reset forgets."""

    app_runs: bool
    net_runs: bool
    upload: Progress | None = None


class VirtualNrf5340:
    """Both cores. Made without power: ``reset`` boots it, ``resume`` takes it up where it was put aside.

    ``app`` and ``net`` are the flashes (new ones are blank), ``images`` the slots, ``log`` the console's last lines,
    ``running`` the image that the application core runs; None while the device is silent. ``powered`` is False before
    the first boot, and when the flash lost its power.
    """

    def __init__(
        self,
        layout: Layout,
        keys: BootKeys,
        *,
        app: Flash | None = None,
        net: Flash | None = None,
        name: str = "nrf5340",
        reset_delay_s: float = RESET_DELAY_S,
    ) -> None:
        self.layout, self.keys, self.name, self.reset_delay_s = layout, keys, name, reset_delay_s
        self.app = app or _blank(layout.flash, layout.sector_size)
        self.net = net or _blank(layout.net.flash, layout.net.page_size)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.running: RunningImage | None = None
        self.powered = False
        self.net_core = NetCore(self.net, layout, keys.net_verifiers, self._say)
        key_size = keys.saved_key_size
        numbers = range(len(layout.images))
        self.images = tuple(Slots.of(self.app, layout, number, encrypted_key_size=key_size) for number in numbers)
        self._image_group = ImageGroup(self.images)
        system = OsGroup(BUILD, layout.mode, DEFAULT_BUFFERS, self._want_reset)
        self._server = Server([system, self._image_group], DEFAULT_BUFFERS, log=self._say)
        self._reset_wanted = False
        self._watchers: list[Watcher] = []

    # --- power -------------------------------------------------------------------------------------------------------

    def reset(self) -> BootResult | None:
        """Boot both cores, whatever they did: RAM is forgotten. None if the power was cut on the way."""
        self._lose_power()
        try:
            result = boot(self.app, self.layout, self.keys, self._say, self.net_core)
            if result.running is not None:
                self._say(f"*** Booting Zephyr OS v{BUILD.version} ***")
                self.net_core.start(self.app)  # the application does, when it wants the radio
        except PowerCut:
            self._lose_power()
            return None
        self.running, self.powered = result.running, True
        return result

    def put_aside(self) -> Ram | None:
        """What ``resume`` needs in order to go on as if nothing had happened; None without power."""
        self.finish_reset()
        if not self.powered:
            return None
        return Ram(self.running is not None, self.net_core.running, self._image_group.progress)

    def resume(self, ram: Ram) -> None:
        """Take up the device as it was put aside: no boot, no log."""
        content, header = content_of(self.images[0].primary), self.images[0].primary.header()
        if ram.app_runs and content is not None and header is not None:
            self.running = RunningImage(header, content.hash)
        self._image_group.progress = ram.upload
        self.net_core.running, self.powered = ram.net_runs, True

    def _lose_power(self) -> None:
        self.running, self.powered, self._reset_wanted = None, False, False
        self._image_group.progress = None
        self.net_core.power_off()

    def finish_reset(self) -> None:
        """Do the reset that was asked for now, if there is one."""
        if self._reset_wanted:
            self.reset()

    # --- what a debugger does -----------------------------------------------------------------------------------------

    def program(self, address: int, data: bytes) -> None:
        """Write ``data`` at an absolute address of either core; pages keep what they hold around it.

        Raises ``FlashError`` outside the flashes.
        """
        flash = self.net if address >= self.net.base else self.app
        start = address // flash.page_size * flash.page_size
        end = -(-(address + len(data)) // flash.page_size) * flash.page_size
        pages = bytearray(flash.read(start, end - start))
        pages[address - start : address - start + len(data)] = data
        flash.erase(start, end - start)
        flash.program(start, bytes(pages))

    def load_app(self, image: bytes) -> None:
        """Write a signed image into the primary slot, which is erased first; raises ``TooLargeError``."""
        self._load(self.images[0].primary.area, image)

    def load_net(self, firmware: bytes) -> None:
        """Write firmware for the network core where b0n starts it; of an MCUboot image, the payload.

        What was there is erased. Raises ``TooLargeError``.
        """
        with suppress(FormatError):  # a network core's own build has no MCUboot header
            firmware = Image.from_bytes(firmware).payload
        self._load(self.net_core.app, firmware)

    def _load(self, area: Area, data: bytes) -> None:
        name, room = area.region.name, area.size_bytes
        if len(data) > room:
            raise TooLargeError(f"{len(data)} bytes do not fit {name}, which has {room}", len(data), room)
        area.erase_all()
        self.program(area.region.start, data)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def answers(self, packet: bytes) -> list[bytes]:
        """The SMP answers to a packet; none while no application runs, or when the power goes meanwhile."""
        if self.running is None:
            return []
        try:
            return self._server.answers(packet)
        except PowerCut:
            self._lose_power()
            return []

    async def serve(self, pipe: Pipe, framing: Framing | None = None) -> None:
        """Be the device at the far end of an open ``pipe``, until the pipe is lost."""
        framing = ConsoleFraming() if framing is None else framing
        outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        with self._console(framing, outgoing):
            writer = asyncio.create_task(_write_all(pipe, outgoing))
            try:
                with suppress(LinkLostError):
                    await self._read_all(pipe, framing, outgoing)
            finally:
                writer.cancel()
                await asyncio.wait([writer])
                self.finish_reset()

    async def _read_all(self, pipe: Pipe, framing: Framing, outgoing: asyncio.Queue[bytes]) -> None:
        limit = framing.message_max(self._server.buffers.size_bytes, pipe.max_write)
        while True:
            packets, was_wanted = framing.feed(await pipe.read()), self._reset_wanted
            framing.take_text()  # there is no shell that would read it
            for packet in packets:
                for answer in self.answers(packet) if len(packet) <= limit else ():
                    outgoing.put_nowait(framing.encode(answer))
            if self._reset_wanted and not was_wanted:
                asyncio.get_running_loop().call_later(self.reset_delay_s, self.finish_reset)

    @contextmanager
    def _console(self, framing: Framing, outgoing: asyncio.Queue[bytes]) -> Iterator[None]:
        """Log lines go out on this wire as well, if it is a console."""

        def put(line: str) -> None:
            outgoing.put_nowait(line.encode() + b"\r\n")

        if not isinstance(framing, ConsoleFraming):
            yield
            return
        self._watchers.append(put)
        try:
            yield
        finally:
            self._watchers.remove(put)

    def connect(self, faults: Faults = NO_FAULTS) -> Pipe:
        """The host's end of a wire to this device, served in this process whenever it is open."""
        return served_pipe(self.serve, faults, name=f"virtual:{self.name}")

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` with every console line from now on."""
        self._watchers.append(watcher)

    def _say(self, line: str) -> None:
        self.log.append(line)
        for watcher in self._watchers:
            watcher(line)

    def _want_reset(self, boot_mode: int) -> None:
        self._reset_wanted = True


async def _write_all(pipe: Pipe, outgoing: asyncio.Queue[bytes]) -> None:
    with suppress(LinkLostError):
        while True:
            await pipe.write(await outgoing.get())


def _blank(region: Region, page_size: int) -> Flash:
    return Flash(region.start, region.size_bytes, page_size=page_size)
