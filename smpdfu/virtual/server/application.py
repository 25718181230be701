"""The application on the application core, as far as SMP sees it: its groups of commands, and what they keep where.

In flash are the settings that were saved and the files, in RAM the clock, the settings that were not saved and the file
that is open: a reset forgets them. The images are the bootloader's, too, and belong to the device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from smpdfu.smp.groups.os import MemoryPools
from smpdfu.smp.message import Request
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.flash import Area, Flash
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.server.files import Files, MemoryFiles
from smpdfu.virtual.server.groups.enum import EnumGroup
from smpdfu.virtual.server.groups.fs import MOUNTS, FsGroup, Upload
from smpdfu.virtual.server.groups.image import ImageGroup
from smpdfu.virtual.server.groups.os import OsGroup
from smpdfu.virtual.server.groups.settings import ROOTS, SettingsGroup
from smpdfu.virtual.server.groups.shell import ShellGroup, commands_of
from smpdfu.virtual.server.groups.stat import Counters, StatGroup, sample_counters
from smpdfu.virtual.server.groups.transport import TransportGroup
from smpdfu.virtual.server.groups.zephyr import ZephyrGroup
from smpdfu.virtual.server.server import LOG, Server
from smpdfu.virtual.server.settings_store import Records

DEVICE_ID_SIZE = 8
"""Bytes of the number of an nRF5340."""
SETTINGS = Region("settings", 0x107F_8000, 0x8000)
"""Where the settings are if the layout has no place for them: at the end of the DK's external flash."""


def _new_storage() -> Area:
    return Flash(SETTINGS.start, SETTINGS.size_bytes).area(SETTINGS)


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives a reset: the partition of the settings (None: a build without any), and the files.

    ``device_id`` is the number that the chip was made with (FICR, INFO.DEVICEID); None: the firmware does not tell it.
    """

    storage: Area | None = field(default_factory=_new_storage)
    files: Files = field(default_factory=MemoryFiles)
    device_id: bytes | None = None

    def placed(self, chip: Chip, settings: Region | None) -> Kept:
        """The same with the settings where the layout has a place for them, if it has; on the supply of ``chip``."""
        if settings is not None:
            return replace(self, storage=chip.bus.area(settings))
        if self.storage is not None:
            self.storage.flash.power = chip.power
        return self


@dataclass(frozen=True, slots=True)
class Options:
    """How the application was built.

    ``roots``: the modules that take settings, and can it save them? ``mounts``: the mount points. ``counters``: those
    that come before the sample's own. ``without``: the requests that it does not have; none has memory pools.
    """

    roots: Collection[str] = ROOTS
    mounts: Collection[str] = MOUNTS
    counters: Mapping[str, Counters] = field(default_factory=dict)
    without: Collection[type[Request[Any]]] = (MemoryPools,)
    saves_settings: bool = True


DEFAULT_OPTIONS = Options()


class Application:
    """The groups over ``system`` and ``images``, and the ``server`` that serves them."""

    def __init__(
        self,
        system: OsGroup,
        images: ImageGroup,
        kept: Kept,
        options: Options | None = None,
        log: Callable[[str], None] = LOG,
    ) -> None:
        self.rtc = system.rtc
        self.images = images
        storage = kept.storage
        self.device_id = kept.device_id
        options = DEFAULT_OPTIONS if options is None else options
        self.settings = SettingsGroup(Records(storage) if storage and options.saves_settings else None, options.roots)
        self.fs = FsGroup(kept.files, system.buffers.size_bytes, options.mounts)
        self.shell = ShellGroup(commands_of(self.rtc, system.build.version, kept.device_id))
        self.groups = (
            system,
            images,
            StatGroup({**options.counters, **sample_counters(self.rtc)}),
            self.settings,
            self.fs,
            self.shell,
            EnumGroup(lambda: self.server.served),
            TransportGroup(),
            ZephyrGroup(storage),
        )
        self.server = Server(self.groups, system.buffers, without=(*options.without, *images.without), log=log)

    def boot(self) -> None:
        """Start: RAM is as new."""
        self.rtc.boot()
        self.fs.upload = None
        self.settings.values.clear()
        self.settings.load()

    def put_aside(self) -> dict[str, Any]:
        """What RAM holds, as JSON takes it."""
        upload = self.fs.upload
        return {
            "booted_at": self.rtc.booted_at,
            "calendar": self.rtc.offset_s,
            "settings": {name: value.hex() for name, value in self.settings.values.items()},
            "file": None if upload is None else asdict(upload),
        }

    def resume(self, ram: Mapping[str, Any] | None) -> None:
        """Go on with what ``put_aside`` gave; with RAM as new if there is none, or it is not whole."""
        self.boot()
        if ram is None:
            return
        try:
            booted_at = float(ram["booted_at"])
            offset_s = None if ram["calendar"] is None else float(ram["calendar"])
            settings = {str(name): bytes.fromhex(value) for name, value in ram["settings"].items()}
            upload = None if ram["file"] is None else Upload(**ram["file"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return
        self.rtc.booted_at = booted_at
        self.rtc.offset_s = offset_s
        self.settings.values = settings
        self.fs.upload = upload
