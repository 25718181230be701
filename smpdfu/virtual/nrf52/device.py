"""A virtual nRF52 with the nRF5 SDK's secure bootloader: its flash, what runs on it, and DFU over a wire.

Whatever runs has no wire but the bootloader in DFU mode: an application, and one that crashed, are silent on the serial
line. Over Bluetooth, an application may have the buttonless service, which is ``enter_dfu``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smpdfu.virtual.chip.flash import Flash, PowerCut
from smpdfu.virtual.nrf52.advertised_name import store_name
from smpdfu.virtual.nrf52.bootloader import Nrf52Bootloader
from smpdfu.virtual.nrf52.build import Trust
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.layout import Nrf52Layout
from smpdfu.virtual.nrf52.start import Nrf52Ending, start
from smpdfu.virtual.watched import Watched


@dataclass(frozen=True, slots=True)
class Nrf52Ram:
    """What the device keeps in memory between two processes, and a reset forgets: what runs."""

    ending: Nrf52Ending


class VirtualNrf52(Watched):
    """An nRF52. Made without power: ``reset`` starts it, ``resume`` continues where it was stored.

    ``ending`` is what runs, or why nothing does; None without power. ``bootloader`` is DFU mode, while that is what
    runs. ``name`` is also the advertised name of the application.
    """

    def __init__(
        self,
        layout: Nrf52Layout,
        trust: Trust,
        *,
        flash: Flash | None = None,
        name: str = "nrf52",
        time_factor: float = 0,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.trust = trust
        self.name = name
        self.chip = Nrf52Chip(layout, flash)
        self.ending: Nrf52Ending | None = None
        self.bootloader: Nrf52Bootloader | None = None
        self._activity_watchers: list[Callable[[], None]] = []

    @property
    def powered(self) -> bool:
        """False before the first start, and when the flash lost its power."""
        return self.ending is not None

    @property
    def app_runs(self) -> bool:
        """Whether the application runs."""
        return self.ending is Nrf52Ending.APPLICATION

    # --- power -------------------------------------------------------------------------------------------------------

    def reset(self, *, wants_dfu: bool = False) -> Nrf52Ending | None:
        """Start the chip; ``wants_dfu``: the button of DFU mode is held. None if the power was cut on the way."""
        self.ending = self.bootloader = None
        try:
            self.ending = start(self.chip, self.trust, self._say, wants_dfu=wants_dfu)
        except PowerCut:
            self._say("the power is cut")
        self._enter()
        return self.ending

    def enter_dfu(self) -> Nrf52Ending | None:
        """What an application does to be updated: ask for DFU mode (GPREGRET) and reset."""
        return self.reset(wants_dfu=True)

    def name_bootloader(self, name: str) -> bool:
        """What an application does to have its bootloader advertise ``name``. False if that fails."""
        try:
            return store_name(self.chip, name)
        except PowerCut:
            self._lose_power()
            return False

    def give_up_dfu(self) -> Nrf52Ending | None:
        """What the inactivity timer does: leave DFU mode. The settings in the flash stay as they are."""
        self._say("no host for too long: restart")
        return self.reset()

    def put_aside(self) -> Nrf52Ram | None:
        """What ``resume`` needs; None without power."""
        self.finish_reset()
        return None if self.ending is None else Nrf52Ram(self.ending)

    def resume(self, ram: Nrf52Ram) -> None:
        """Continue in the stored state: no start, no log. DFU mode begins again with what is saved in the flash."""
        self.ending = ram.ending
        self.chip.load_settings()
        self._enter()

    def _enter(self) -> None:
        is_dfu = self.ending is Nrf52Ending.DFU
        self.bootloader = Nrf52Bootloader(self.chip, self.trust, self._say, self._is_active) if is_dfu else None
        self._is_active()
        self._power_changed()

    def watch_activity(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call ``watcher`` whenever the inactivity timer of DFU mode starts anew; the function returned ends that."""
        self._activity_watchers.append(watcher)
        return lambda: self._activity_watchers.remove(watcher)

    def _is_active(self) -> None:
        for watcher in self._activity_watchers:
            watcher()

    def _lose_power(self) -> None:
        self._say("the power is cut")
        self.ending = self.bootloader = None
        self._power_changed()

    # --- DFU ---------------------------------------------------------------------------------------------------------

    def handle(self, message: bytes) -> bytes | None:
        """Handle a request of the host; None if there is no answer, as from everything but DFU mode.

        An answer is sent before ``finish_reset`` is called.
        """
        if self.bootloader is None:
            return None
        try:
            return self.bootloader.handle(message)
        except PowerCut:
            self._lose_power()
            return None

    def write(self, data: bytes) -> bytes | None:
        """Take bytes of the current object, as from the packet characteristic; a receipt if one is due."""
        if self.bootloader is None:
            return None
        try:
            return self.bootloader.write(data)
        except PowerCut:
            self._lose_power()
            return None

    def finish_reset(self) -> bool:
        """Reset if the bootloader wants that, after its last answer has left; True if it did."""
        if self.bootloader is None or not self.bootloader.ended:
            return False
        self.reset()
        return True
