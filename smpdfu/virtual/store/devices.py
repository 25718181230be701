"""Named virtual devices that live in files between commands, like a board on a desk.

A device is a folder: ``device.json`` (layout, and the keys that its bootloaders hold), ``app.flash`` and ``net.flash``
(mapped into memory: a write is in the file at once), ``settings.flash`` and ``files`` of the application,
``console.log``, and ``ram.json`` while no process runs the device and its power is on. If a process dies while it
runs a device, that device loses its power: there is no ``ram.json``, and the next process boots it. One process at a
time can run a device. Only the user can read the folder.
"""

from __future__ import annotations

import mmap
import secrets
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from smpdfu.image.files import write_file_atomic
from smpdfu.link.pipe import Pipe, not_open
from smpdfu.local.state.lock import Lock, holder
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.boot.bootloader import BootResult, Ending
from smpdfu.virtual.boot.build import BootOptions, build_of
from smpdfu.virtual.chip.chip import kept_parts
from smpdfu.virtual.chip.flash import Flash
from smpdfu.virtual.chip.layout import LAYOUTS, Layout
from smpdfu.virtual.chip.storage import ERASED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import DEFAULT_RESOURCES, Resources
from smpdfu.virtual.ram import Ram
from smpdfu.virtual.server.application import SETTINGS, Kept
from smpdfu.virtual.server.files import FolderFiles
from smpdfu.virtual.server.groups.image import Progress
from smpdfu.virtual.store.device_files import locked, make_device, map_file, open_log, sentences, to_json
from smpdfu.virtual.store.kept_cut import keep_cut, read_cut
from smpdfu.virtual.store.kept_wear import keep_wear, read_wear
from smpdfu.virtual.store.kinds import refuse_nrf52
from smpdfu.virtual.store.names import check_new, folder_of
from smpdfu.virtual.store.names import holder_of as holder_of
from smpdfu.virtual.store.names import home as home
from smpdfu.virtual.store.names import list_devices as list_devices
from smpdfu.virtual.store.recipe import Recipe as Recipe


def create(name: str, recipe: Recipe) -> None:
    """Make a device with blank flash. Raises ``ValueError`` for a bad or taken name, ``KeyFileError``, ``OSError``."""
    check_new(name)
    layout = recipe.make_layout()
    build_of(layout, recipe.boot_keys())
    # Filled, not sparse: a full disk fails here, and not later at a mapped page.
    blank = ((f"{part.name}.flash", bytes([ERASED]) * part.region.size_bytes) for part in kept_parts(layout))
    make_device(name, (*blank, ("device.json", to_json(recipe.to_dict()))))


def open_device(name: str, *, switch_on: bool = True) -> StoredDevice:
    """Open a device for this process, in the state in which the last process closed it. Use ``close`` or ``with``.

    A device without power boots. If ``switch_on`` is False, it waits for ``reset``.
    Raises ConnectError if there is no such device, another process runs it, or its files are damaged.
    """
    folder = folder_of(name)
    refuse_nrf52(name, folder)
    lock = locked(name, folder)
    try:
        with sentences(name):
            return StoredDevice(name, folder, lock, switch_on=switch_on)
    except BaseException:
        lock.release()
        raise


def view_device(name: str) -> VirtualNrf5340:
    """Return a read-only view of the device as it is now, even if another process runs it. A write to its flash fails.

    Raises ConnectError if there is no such device, or its files are damaged.
    """
    folder = folder_of(name)
    refuse_nrf52(name, folder)
    with sentences(name):
        recipe = _read_recipe(folder)
        layout = recipe.make_layout()
        flashes, _ = _map_flashes(folder, layout, mmap.ACCESS_READ)
        kept = Kept(device_id=recipe.device_id_bytes)
        device = VirtualNrf5340(
            layout, recipe.boot_keys(), flashes=flashes, name=name, resources=recipe.resources, kept=kept
        )
        read_wear(folder, device.chip.flashes)
        held = holder(folder / "lock")
        ram = _read_ram(folder / "ram.json") if held is None else _runs(held)
        if ram is not None:
            device.resume(ram)
    return device


def delete(name: str) -> None:
    """Delete a device and all its files. Raises ConnectError if there is none or a process runs it; ``OSError``."""
    folder = folder_of(name)
    lock = locked(name, folder)
    grave = folder.with_name(f".{name}.{secrets.token_hex(4)}")
    try:
        folder.rename(grave)
    finally:
        lock.release()
    shutil.rmtree(grave)


def read_log(name: str) -> list[str]:
    """Return the lines of the device's console, oldest first. Raises ConnectError if there is no such device."""
    path = folder_of(name) / "console.log"
    return path.read_text(errors="replace").splitlines() if path.exists() else []


class StoredDevice(VirtualNrf5340):
    """A device of the store; made by ``open_device``."""

    def __init__(self, name: str, folder: Path, lock: Lock, *, switch_on: bool) -> None:
        recipe = _read_recipe(folder)
        layout = recipe.make_layout()
        self._folder = folder
        self._lock = lock
        self._port = ""
        flashes, maps = _map_flashes(folder, layout, mmap.ACCESS_WRITE)
        storage, settings = _map_settings(folder / "settings.flash")
        self._maps = (*maps, storage)
        kept = Kept(settings.area(SETTINGS), FolderFiles(folder / "files"), recipe.device_id_bytes)
        keys = recipe.boot_keys()
        resources = recipe.resources
        super().__init__(layout, keys, flashes=flashes, name=name, resources=resources, kept=kept)
        self._console_log = open_log(folder / "console.log")
        self.watch(self._keep_line)
        read_cut(folder, self.chip.power)
        read_wear(folder, self.chip.flashes)
        ram = _read_ram(folder / "ram.json")
        (folder / "ram.json").unlink(missing_ok=True)  # from now on, the end of this process is a power cut
        if ram is not None:
            self.resume(ram)
        elif switch_on:
            self.reset()
        self.announce("")

    def reset(self) -> BootResult | None:
        """Boot, and write into the lock file how the boot ended, for other processes."""
        result = super().reset()
        self.announce(self._port)
        return result

    def announce(self, port: str) -> None:
        """Write the port of the device into the lock file, for other processes; "" for none."""
        self._port = port
        told: dict[str, Any] = {"port": port} if port else {}
        if self.running is None and self.ending is not None:
            told["ending"] = str(self.ending)
        if self.recovery is not None:
            told["recovery"] = True
        told |= {} if self.mcuboot is None else {"mcuboot": self.mcuboot}
        if self.running is not None and self.running.slot:
            told["slot"] = self.running.slot
        self._lock.tell(app_runs=self.running is not None, net_runs=self.net_core.running, **told)

    def close(self) -> None:
        """Save the state of the device and release it for other processes. A second call does nothing."""
        maps, self._maps = self._maps, ()
        if not maps:
            return
        try:
            ram = self.put_aside()
            keep_cut(self._folder, self.chip.power)
            keep_wear(self._folder, self.chip.flashes)
            if ram is not None:
                write_file_atomic(self._folder / "ram.json", to_json(asdict(ram)), mode=0o600, follow_links=False)
        finally:
            self._console_log.close()
            for mapped in maps:
                mapped.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _keep_line(self, line: str) -> None:
        self._console_log.write(line + "\n")


class DevicePipe(Pipe):
    """A wire to the device named ``device``. It opens the device when it opens, and closes it when it closes."""

    def __init__(self, device: str) -> None:
        super().__init__(f"virtual:{device}")
        self._name = device
        self._device: StoredDevice | None = None
        self._wire: Pipe | None = None

    async def _open(self) -> None:
        self._device = open_device(self._name)
        self._wire = self._device.connect()
        await self._wire.open()

    async def _close(self) -> None:
        wire = self._wire
        device = self._device
        self._wire = self._device = None
        if wire is not None:
            await wire.close()
        if device is not None:
            device.close()

    async def _read(self) -> bytes:
        return await self._joined().read()

    async def _write(self, data: bytes) -> None:
        await self._joined().write(data)

    def _joined(self) -> Pipe:
        if self._wire is None:
            raise not_open(self.name)
        return self._wire


# --- files ----------------------------------------------------------------------------------------------------------


def _read_recipe(folder: Path) -> Recipe:
    found = load_json((folder / "device.json").read_text())
    keys = tuple(found["sign_keys"]), tuple(found["net_keys"]), found["enc_key"]
    resources = found.get("resources")  # none in a device from before they could be chosen
    recipe = Recipe(found["layout"], *keys, DEFAULT_RESOURCES if resources is None else Resources.from_dict(resources))
    if found.get("partitions") is None and recipe.layout not in LAYOUTS:
        raise ValueError(f"its layout {recipe.layout!r} is unknown")
    # Fields that older devices do not have keep the values of that time.
    later = {key: found[key] for key in ("partitions", "mode", "content_key_size", "device_id") if key in found}
    net_app = None if found.get("net_app") is None else tuple(found["net_app"])
    with_nsib = found.get("with_nsib") is True
    return replace(
        recipe, **later, net_app=net_app, with_nsib=with_nsib, options=BootOptions.from_dict(found.get("options", {}))
    )


def _map_flashes(folder: Path, layout: Layout, access: int) -> tuple[dict[str, Flash], list[mmap.mmap]]:
    """Return the non-volatile memories by name, and their mapped files.

    A device that was made before the UICR was modelled gets a blank one, except for a read-only view.
    """
    flashes = {}
    maps = []
    for part in kept_parts(layout):
        path = folder / f"{part.name}.flash"
        is_missing = part.name == "uicr" and not path.exists()
        if is_missing and access == mmap.ACCESS_READ:
            continue
        if is_missing:
            write_file_atomic(path, bytes([ERASED]) * part.region.size_bytes, mode=0o600, follow_links=False)
        maps.append(map_file(path, part.region.size_bytes, access))
        flashes[part.name] = Flash(
            part.region.start, part.region.size_bytes, page_size=part.page_size, storage=maps[-1]
        )
    return flashes, maps


def _map_settings(path: Path) -> tuple[mmap.mmap, Flash]:
    """Return the mapped file of the settings and its flash; an older device gets a blank one."""
    if not path.exists():
        write_file_atomic(path, bytes([ERASED]) * SETTINGS.size_bytes, mode=0o600, follow_links=False)
    storage = map_file(path, SETTINGS.size_bytes, mmap.ACCESS_WRITE)
    return storage, Flash(SETTINGS.start, SETTINGS.size_bytes, storage=storage)


def _read_ram(path: Path) -> Ram | None:
    """Return the saved RAM; None if there is none, or it is damaged."""
    try:
        found = load_json(path.read_text())
        upload = found["upload"]
        if upload is not None:
            upload = Progress(**upload | {key: bytes.fromhex(upload[key]) for key in ("sha", "block")})
        application = found.get("application")
        return replace(_runs(found), upload=upload, application=application if isinstance(application, dict) else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _runs(found: dict[str, Any]) -> Ram:
    ending = found.get("ending")
    return Ram(
        found.get("app_runs") is True,
        found.get("net_runs") is True,
        recovery=found.get("recovery") is True,
        ending=None if ending is None else Ending(ending),
        slot=1 if found.get("slot") == 1 else 0,
        mcuboot=found.get("mcuboot") if found.get("mcuboot") in (0, 1) else None,
    )
