"""Named virtual nRF52 devices in files, as those in ``devices``: one folder each.

``device.json`` has the layout, the key and the build of the bootloader, ``main.flash`` the flash, ``console.log`` the
console, ``ram.json`` what runs while no process runs the device and its power is on.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from smpdfu.image.files import write_file_atomic
from smpdfu.image.keys.keys import PrivateKey, load_key
from smpdfu.image.secure_dfu.flash import PAGE_SIZE
from smpdfu.local.state.lock import Lock, holder
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.chip.flash import Flash
from smpdfu.virtual.chip.storage import ERASED
from smpdfu.virtual.nrf52.build import DEFAULT_BUILD, Nrf52Build, Trust
from smpdfu.virtual.nrf52.device import Nrf52Ram, VirtualNrf52
from smpdfu.virtual.nrf52.layout import LAYOUTS, Nrf52Layout
from smpdfu.virtual.nrf52.start import Nrf52Ending
from smpdfu.virtual.store.device_files import locked, make_device, map_file, open_log, sentences, to_json
from smpdfu.virtual.store.kept_cut import keep_cut, read_cut
from smpdfu.virtual.store.kept_wear import keep_wear, read_wear
from smpdfu.virtual.store.names import check_new, folder_of

_FLASH = "main"


class Buttonless(StrEnum):
    """The service by which the application goes into DFU mode over Bluetooth."""

    NONE = "none"
    UNBONDED = "unbonded"
    BONDED = "bonded"


@dataclass(frozen=True, slots=True)
class Nrf52Recipe:
    """What a device is made from. ``layout`` is a row of ``LAYOUTS``, ``key`` the PEM that its bootloader trusts.

    ``time_factor``: how long the flash takes on the wires; 1 as on the chip, 0 no time. ``buttonless`` is what the
    application has.
    """

    layout: str
    key: str | None = None
    build: Nrf52Build = DEFAULT_BUILD
    time_factor: float = 0.0
    buttonless: Buttonless = Buttonless.UNBONDED

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` made. Raises ValueError, TypeError or KeyError."""
        build = Nrf52Build.from_dict(found.get("build", {}))
        buttonless = Buttonless(found.get("buttonless", Buttonless.UNBONDED))
        return cls(found["layout"], found.get("key"), build, float(found.get("time_factor", 0.0)), buttonless)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def make_layout(self) -> Nrf52Layout:
        """Return the layout. Raises ``ValueError`` for an unknown name."""
        if self.layout not in LAYOUTS:
            raise ValueError(f"there is no layout {self.layout!r} of an nRF52. Use one of: {', '.join(LAYOUTS)}")
        return LAYOUTS[self.layout]

    def trust(self) -> Trust:
        """Return the key and the build in the form that the bootloader uses. Raises ``KeyFileError``."""
        if self.key is None:
            return Trust(None, self.build)
        key = load_key(self.key.encode())
        return Trust(key.public if isinstance(key, PrivateKey) else key, self.build)


def create_nrf52(name: str, recipe: Nrf52Recipe) -> None:
    """Make a device with blank flash. Raises ``ValueError`` for a bad or taken name, ``KeyFileError``, ``OSError``."""
    check_new(name)
    layout = recipe.make_layout()
    recipe.trust()
    blank = bytes([ERASED]) * layout.flash_bytes
    make_device(name, ((f"{_FLASH}.flash", blank), ("device.json", to_json(recipe.to_dict()))))


def open_nrf52(name: str, *, switch_on: bool = True) -> StoredNrf52:
    """Open a device for this process, in the state in which the last process closed it. Use ``close`` or ``with``.

    A device without power starts. If ``switch_on`` is False, it waits for ``reset``. Raises ConnectError if there is no
    such device, another process runs it, or its files are damaged.
    """
    folder = folder_of(name)
    lock = locked(name, folder)
    try:
        with sentences(name):
            return StoredNrf52(name, folder, lock, switch_on=switch_on)
    except BaseException:
        lock.release()
        raise


def view_nrf52(name: str) -> VirtualNrf52:
    """Return a read-only view of the device as it is now, even if another process runs it. A write to its flash fails.

    Raises ConnectError if there is no such device, or its files are damaged.
    """
    folder = folder_of(name)
    with sentences(name):
        recipe = _read_recipe(folder)
        flash, _ = _map_flash(folder, recipe.make_layout(), mmap.ACCESS_READ)
        device = VirtualNrf52(recipe.make_layout(), recipe.trust(), flash=flash, name=name)
        read_wear(folder, {_FLASH: flash})
        held = holder(folder / "lock")
        ram = _read_ram(folder / "ram.json") if held is None else _runs(held)
        device.chip.load_settings()
        if ram is not None:
            device.resume(ram)
    return device


class StoredNrf52(VirtualNrf52):
    """A device of the store; made by ``open_nrf52``."""

    def __init__(self, name: str, folder: Path, lock: Lock, *, switch_on: bool) -> None:
        self.recipe = _read_recipe(folder)
        layout = self.recipe.make_layout()
        self._folder = folder
        self._lock = lock
        self._port = ""
        flash, mapped = _map_flash(folder, layout, mmap.ACCESS_WRITE)
        self._map: mmap.mmap | None = mapped
        super().__init__(layout, self.recipe.trust(), flash=flash, name=name)
        self._console_log = open_log(folder / "console.log")
        self.watch(lambda line: self._console_log.write(line + "\n"))
        self.watch_power(lambda: self.announce(self._port))
        read_cut(folder, self.chip.power)
        read_wear(folder, {_FLASH: flash})
        ram = _read_ram(folder / "ram.json")
        (folder / "ram.json").unlink(missing_ok=True)  # from now on, the end of this process is a power cut
        if ram is not None:
            self.resume(ram)
        elif switch_on:
            self.reset()
        self.announce("")

    def announce(self, port: str) -> None:
        """Write the port of the device into the lock file, for other processes; "" for none."""
        self._port = port
        told = {"port": port} if port else {}
        if self.ending is not None:
            told["ending"] = str(self.ending)
        self._lock.tell(**told)

    def close(self) -> None:
        """Save the state of the device and release it for other processes. A second call does nothing."""
        mapped, self._map = self._map, None
        if mapped is None:
            return
        try:
            ram = self.put_aside()
            keep_cut(self._folder, self.chip.power)
            keep_wear(self._folder, {_FLASH: self.chip.flash})
            if ram is not None:
                write_file_atomic(self._folder / "ram.json", to_json(asdict(ram)), mode=0o600, follow_links=False)
        finally:
            self._console_log.close()
            mapped.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


# --- files ------------------------------------------------------------------------------------------------------------


def _read_recipe(folder: Path) -> Nrf52Recipe:
    return Nrf52Recipe.from_dict(load_json((folder / "device.json").read_text()))


def _map_flash(folder: Path, layout: Nrf52Layout, access: int) -> tuple[Flash, mmap.mmap]:
    mapped = map_file(folder / f"{_FLASH}.flash", layout.flash_bytes, access)
    return Flash(0, layout.flash_bytes, page_size=PAGE_SIZE, storage=mapped), mapped


def _read_ram(path: Path) -> Nrf52Ram | None:
    """Return the saved RAM; None if there is none, or it is damaged."""
    try:
        return _runs(load_json(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _runs(found: Mapping[str, Any]) -> Nrf52Ram | None:
    """What runs, as another process tells it; None without power."""
    ending = found.get("ending")
    return None if ending is None else Nrf52Ram(Nrf52Ending(ending))
