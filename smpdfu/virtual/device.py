"""A virtual nRF5340: the flash of both cores, the bootloaders, and the application's SMP server on a wire.

What a wire delivers is answered, or not at all: a device that found nothing to boot, or runs code that cannot run, is
as silent as the chip. Boot log lines go out on the console between the frames. How many requests the server bears at
once, and how long things take, is in ``line/load.py``; what the wire does to them in ``line/traffic.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.loaders import lines
from smpdfu.smp.framing import ConsoleFraming, DeviceConsoleFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.os import BOOT_MODE_BOOTLOADER
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.boot.bootloader import BootKeys, BootResult, Ending, RunningImage
from smpdfu.virtual.boot.build import Entrance
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.flashing import flash_image, flash_network
from smpdfu.virtual.boot.modes.firmware_loader import LOADER
from smpdfu.virtual.boot.network.netcore import NetCore
from smpdfu.virtual.boot.nsib.chain import b0_of, start
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.flash import Flash, PowerCut
from smpdfu.virtual.chip.layout import Layout
from smpdfu.virtual.line.beside import run_beside
from smpdfu.virtual.line.load import (
    BYTE_S,
    DEFAULT_RESOURCES,
    REQUEST_S,
    Desk,
    Handling,
    Pool,
    Receiver,
    Resources,
    Worker,
)
from smpdfu.virtual.line.outgoing import Outgoing
from smpdfu.virtual.line.timers import loop_time
from smpdfu.virtual.line.traffic import NO_TRAFFIC, TrafficPipe, arrived_at
from smpdfu.virtual.ram import Ram
from smpdfu.virtual.server.application import Application, Kept
from smpdfu.virtual.server.core_interface import fit_together
from smpdfu.virtual.server.groups.os import Build, OsGroup
from smpdfu.virtual.server.loader_application import LoaderApplication
from smpdfu.virtual.server.serial_recovery import DEFAULT_BUILD, RecoveryServer
from smpdfu.virtual.server.server import Buffers, Server
from smpdfu.virtual.server.shell_uart import DeviceShellFraming, Shell
from smpdfu.virtual.server.slot_content import content_of
from smpdfu.virtual.watched import Watched

BUILD = Build()


class VirtualNrf5340(Watched):
    """Both cores. Made without power: ``reset`` boots it, ``resume`` continues where it was stored.

    ``flashes`` are its memories by name (those not given are blank; see ``Chip``), ``app`` and ``net`` the flash of
    each core, ``images`` the slots, ``log`` the console's last lines, ``running`` the image that the application core
    runs; None while the device is silent. ``ending`` is how the last boot ended. ``powered`` is False before the first
    boot, and when the flash lost its power. ``b0`` is what starts MCUboot, and ``mcuboot`` the slot that runs, where
    the device has NSIB. ``boot_s`` is how long the chip would have taken for the last boot.
    ``traffic`` is what every wire does that is served from then on, ``pool`` the SMP server's buffers. ``kept`` is what
    the application keeps (nothing yet). ``recovery`` is the bootloader's own server while that is what runs: after a
    reset with boot mode 1 (in firmware loader mode that starts the ``loader``), and with ``recovers`` whenever there is
    no image to start; ``button_held`` is the button that starts the loader at a reset; ``recovery_build`` is how that
    was built. ``build`` is what its firmware says of itself.
    """

    build = BUILD

    def __init__(
        self,
        layout: Layout,
        keys: BootKeys,
        *,
        flashes: Mapping[str, Flash] | None = None,
        name: str = "nrf5340",
        resources: Resources = DEFAULT_RESOURCES,
        kept: Kept | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.keys = keys
        self.name = name
        self.resources = resources
        self.traffic = NO_TRAFFIC
        self.pool = Pool(resources.buffers.count)
        self.chip = Chip(layout, flashes)
        self.app, self.net = self.chip.app, self.chip.net
        self.boot_s = self._boots_until = 0.0
        self.running: RunningImage | None = None
        self.ending: Ending | None = None
        self.powered = False
        self.net_core = NetCore(self.net, layout, keys.net_verifiers, self._say, keys.options.b0n)
        self.b0 = b0_of(self.chip.bus, layout, keys, self._say)
        self.mcuboot: int | None = None
        self.images = tuple(keys.slots(self.chip.bus, layout, number) for number in range(len(layout.images)))
        self._image_group = resources.image_group(self.images, layout.mode)
        build, prevents = resources.build(self.build), keys.options.downgrade_prevention
        told = None if self.b0 is None else self.b0.slots
        system = OsGroup(
            build, layout.mode, resources.buffers, self._want_reset, no_downgrade=prevents, mcuboot_slots=told
        )
        kept = (kept or Kept()).placed(self.chip, layout.settings)
        self.application = Application(system, self._image_group, kept, resources.application, self._say)
        self.loader = LoaderApplication(system, self._image_group, kept, self._say)
        self.recovery: RecoveryServer | None = None
        self.recovers, self.button_held = keys.options.recovers, False
        self.recovery_build = DEFAULT_BUILD
        self._reset_wanted = False
        self._boot_mode = 0
        self._reset_timer: asyncio.TimerHandle | None = None
        self._desks: list[Desk] = []
        self._worker = Worker(self.pool)

    # --- power -------------------------------------------------------------------------------------------------------

    def reset(self) -> BootResult | None:
        """Boot both cores, whatever they did: RAM is forgotten. None if the power was cut on the way."""
        self._lose_power()
        asked = Entrance.BOOT_MODE if self._boot_mode == BOOT_MODE_BOOTLOADER else None
        self._boot_mode = 0
        if asked is not None and self.layout.mode is not BootMode.FIRMWARE_LOADER:
            return self.enter_recovery()
        asked = Entrance.BUTTON if self.button_held else asked
        try:
            before_s = self.chip.bus.busy_s
            result = start(self.chip.bus, self.layout, self.keys, self._say, self.net_core, asked)
            self.boot_s = self.chip.bus.busy_s - before_s + result.seconds
            self.chip.forget()
            if result.running is not None:
                self._image_group.active = result.running.slot
                if not self.is_loader(result.running):
                    self._say(f"*** Booting Zephyr OS v{self.build.version} ***")
                    self.application.boot()
                self.net_core.start(self.chip.bus)  # the application does, when it wants the radio
        except PowerCut:
            self._lose_power()
            return None
        if result.ending is Ending.NO_IMAGE and self.recovers:
            return self.enter_recovery()
        self.running, self.ending, self.mcuboot = result.running, result.ending, result.mcuboot
        self.powered = True
        self._power_changed()
        return result

    def enter_recovery(self) -> BootResult:
        """MCUboot stays in serial recovery, before it has looked at any image."""
        self._lose_power()
        self.mcuboot = None if self.b0 is None else self.b0.run()
        if self.b0 is not None and self.mcuboot is None:
            self.ending, self.powered = Ending.NO_BOOTLOADER, True
            return BootResult(None, (), ending=Ending.NO_BOOTLOADER)
        for line in lines.banner(self.keys.options.loader):
            self._say(line)
        self._say("I: Starting bootloader")
        self._say("I: Enter the serial recovery mode")
        self._recover()
        return BootResult(None, (SwapType.NONE,) * len(self.images))

    def _recover(self) -> None:
        self.recovery = RecoveryServer(
            self.images,
            self.net_core,
            Checks(self.chip.bus, self.layout, self.keys, lambda line: None, None).is_accepted,
            lambda: self._want_reset(0),
            self._say,
            self.recovery_build,
            loop_time,
            self.resources.time_factor,
            external_half=self.layout.external_half,
        )
        self.powered = True

    def put_aside(self) -> Ram | None:
        """What ``resume`` needs in order to go on as if nothing had happened; None without power."""
        self.finish_reset()
        if not self.powered:
            return None
        application = self.application.put_aside()
        in_recovery = self.recovery is not None
        runs = (self.running is not None, self.net_core.running)
        progress = self._image_group.progress
        slot = 0 if self.running is None else self.running.slot
        return Ram(*runs, progress, application, in_recovery, self.ending, slot, self.mcuboot)

    def resume(self, ram: Ram) -> None:
        """Continue in the stored state: no boot, no log; recovery starts again."""
        self.mcuboot = ram.mcuboot
        if ram.recovery:
            self._recover()
            return
        number = min(ram.slot, len(self.images[0].places) - 1)
        slot = self.images[0].places[number]
        content, header = content_of(slot), slot.header()
        if ram.app_runs and content is not None and header is not None:
            self.running = RunningImage(header, content.hash, number)
            self._image_group.active = number
        self._image_group.progress = ram.upload
        self.ending = ram.ending
        self.application.resume(ram.application)
        self.net_core.running = ram.net_runs
        self.powered = True

    def _lose_power(self) -> None:
        self.running = self.ending = self.recovery = self.mcuboot = None
        self.powered = self._reset_wanted = False
        self._image_group.progress = None
        self.net_core.power_off()
        self.chip.forget()
        if self._reset_timer is not None:
            self._reset_timer.cancel()
            self._reset_timer = None
        for desk in self._desks:
            desk.forget()
        self._power_changed()

    def is_loader(self, running: RunningImage | None) -> bool:
        """True for the firmware loader: what runs from its slot, in the mode that has one."""
        return running is not None and running.slot == LOADER and self.layout.mode is BootMode.FIRMWARE_LOADER

    @property
    def advertised_name(self) -> str:
        """The name in Bluetooth of what runs: the firmware loader has its own."""
        return self.loader.name if self.is_loader(self.running) else self.name

    @property
    def _server(self) -> Server:
        return self.loader.server if self.is_loader(self.running) else self.application.server

    @property
    def buffers(self) -> Buffers:
        """The buffers of the SMP server that runs, the application's or the bootloader's."""
        return self._server.buffers if self.recovery is None else self.recovery.buffers

    @property
    def radio_up(self) -> bool:
        """True if the network core runs whole firmware and both cores speak the same interface (``interface``)."""
        if self.running is None or not self.net_core.running or not self.net_core.is_whole:
            return False
        slot = self.images[0].places[self.running.slot]
        return fit_together(slot.area.read_all(), self.net_core.app.read_all())

    def finish_reset(self) -> None:
        """Do the reset that was asked for now, if there is one; on a wire, the device is deaf while it boots."""
        if not self._reset_wanted:
            return
        self.reset()
        with suppress(RuntimeError):  # where no event loop runs nobody waits
            self._boots_until = asyncio.get_running_loop().time() + self.boot_s * self.resources.time_factor

    # --- what a debugger does -----------------------------------------------------------------------------------------

    def program(self, address: int, data: bytes) -> None:
        """Write ``data`` at an absolute address of any flash; see ``Chip.program``."""
        self.chip.program(address, data)

    def load_app(self, image: bytes, number: int = 0) -> None:
        """Write a signed image into its slot of image ``number``; see ``flash_image``. Raises ``TooLargeError``."""
        flash_image(self.chip, self.images[number], self.layout.mode, image)

    def load_net(self, firmware: bytes) -> None:
        """Write firmware for the network core where b0n starts it; see ``flash_network``. Raises ``TooLargeError``."""
        flash_network(self.chip, self.net_core.app, firmware)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def answers(self, packet: bytes) -> list[bytes]:
        """The SMP answers to a packet; none while nothing runs that would, or when the power goes meanwhile."""
        server = self._server if self.running is not None else self.recovery
        if server is None:
            return []
        try:
            return server.answers(packet)
        except PowerCut:
            self._lose_power()
            return []

    async def serve(self, pipe: Pipe, framing: Framing | None = None) -> None:
        """Be the device at the far end of an open ``pipe``, until the pipe is lost. Raises what goes wrong in here."""
        framing = DeviceConsoleFraming() if framing is None else framing
        if self.traffic == NO_TRAFFIC:
            await self._serve(pipe, framing)
            return
        wire = TrafficPipe(pipe, self.traffic, console=isinstance(framing, ConsoleFraming))
        wire.start()
        try:
            await self._serve(wire, framing)
        finally:
            await wire.stop()

    async def _serve(self, pipe: Pipe, framing: Framing) -> None:
        outgoing = Outgoing(pipe)
        with self._console(framing, outgoing), self._desk(framing, outgoing) as desk:
            receiver = Receiver(
                framing,
                lambda: framing.message_max(self.buffers.size_bytes, pipe.max_write),
                self.resources.uart_ring,
                desk,
                self._shell(framing, outgoing),
            )

            async def receive() -> None:
                while True:
                    data = await pipe.read()
                    receiver.receive(data, arrived_at(pipe))

            try:
                await run_beside(receive(), outgoing.carry(), desk.work())
            finally:
                self.finish_reset()

    @contextmanager
    def _desk(self, framing: Framing, outgoing: Outgoing) -> Iterator[Desk]:
        """Where this wire's requests wait; requests of all wires are handled one at a time."""
        if not self._desks:
            self._worker = Worker(self.pool)  # of the event loop that runs now

        async def send(answer: bytes, ready_at: float) -> float:
            return await outgoing.send(framing.encode(answer), ready_at)

        tells = isinstance(framing, ConsoleFraming | RawFraming) and not isinstance(framing, GattFraming)
        handle = self._handle if tells else self._handle_for_application
        desk = Desk(self._worker, Handling(handle, send, self._refuse if tells else None, self._handled))
        self._desks.append(desk)
        try:
            yield desk
        finally:
            self._desks.remove(desk)

    def _handle(self, packet: bytes) -> tuple[list[bytes], float]:
        """The answers, and how long the chip takes for them."""
        if asyncio.get_running_loop().time() < self._boots_until:
            return [], 0.0
        before_s = self.chip.busy_s
        answers = self.answers(packet)
        flash_s = self.chip.busy_s - before_s
        return answers, self.resources.time_factor * (REQUEST_S + len(packet) * BYTE_S + flash_s)

    def _handle_for_application(self, packet: bytes) -> tuple[list[bytes], float]:
        """What a bootloader has no wire for."""
        return ([], 0.0) if self.running is None else self._handle(packet)

    def _refuse(self, packet: bytes) -> list[bytes]:
        return [] if self.running is None else self._server.refuse(packet, MgmtRc.ENOMEM)

    def _handled(self) -> None:
        """A reset that was asked for happens a while after its answer has left."""
        if self._reset_wanted and self._reset_timer is None:
            delay_s = self.resources.reset_delay_s
            self._reset_timer = asyncio.get_running_loop().call_later(delay_s, self.finish_reset)

    @contextmanager
    def _console(self, framing: Framing, outgoing: Outgoing) -> Iterator[None]:
        """Log lines go out on this wire as well, if it is a console."""

        def put(line: str) -> None:
            outgoing.put(line.encode() + b"\r\n")

        if not isinstance(framing, ConsoleFraming):
            yield
            return
        self._watchers.append(put)
        try:
            yield
        finally:
            self._watchers.remove(put)

    def _shell(self, framing: Framing, outgoing: Outgoing) -> Callable[[str], object] | None:
        """Who reads what is typed on this wire; None: nobody."""
        if not isinstance(framing, DeviceShellFraming):
            return None
        shell = Shell(self.application.shell)
        return lambda typed: outgoing.put(shell.answer(typed).encode())

    def connect(self, faults: Faults = NO_FAULTS) -> Pipe:
        """The host's end of a wire to this device, served in this process whenever it is open."""
        return served_pipe(self.serve, faults, name=f"virtual:{self.name}")

    def _want_reset(self, boot_mode: int) -> None:
        self._reset_wanted = True
        self._boot_mode = boot_mode
