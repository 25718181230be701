"""Named virtual devices, kept in files between commands, like a board that stays on the desk.

A device is a folder: ``device.json`` (layout, and the keys that its bootloaders hold), ``app.flash`` and ``net.flash``
(mapped into memory, so what is written is there at once), ``console.log``, and ``ram.json`` while the device is put
aside with its power on. A process that dies with a device in its hands cuts the power: there is no ``ram.json`` then,
and the next one boots it. One process at a time has a device; the folder is the user's alone.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from smpdfu.errors import ConnectError, SmpdfuError
from smpdfu.image.files import write_file_atomic
from smpdfu.image.keys import PrivateKey, Verifier, load_key, load_private
from smpdfu.link.pipe import Pipe, not_open
from smpdfu.local.folders import state_home
from smpdfu.local.lock import HeldError, Lock, holder
from smpdfu.virtual.bootloader import BootKeys, BootResult
from smpdfu.virtual.device import Ram, VirtualNrf5340
from smpdfu.virtual.flash import ERASED, Flash
from smpdfu.virtual.groups.image import Progress
from smpdfu.virtual.layout import LAYOUTS, Layout

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOG_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a device is made from. Keys are PEM; only ``enc_key`` is private, for the bootloader decrypts with it.

    ``sign_keys`` are those that MCUboot accepts, ``net_keys`` those that b0n accepts.
    """

    layout: str
    sign_keys: tuple[str, ...] = ()
    net_keys: tuple[str, ...] = ()
    enc_key: str | None = None

    def boot_keys(self) -> BootKeys:
        """The keys as the bootloaders use them; raises ``KeyFileError``."""
        decryption = None if self.enc_key is None else load_private(self.enc_key.encode())
        return BootKeys(_public(self.sign_keys), decryption, net_verifiers=_public(self.net_keys))


def _public(pems: tuple[str, ...]) -> tuple[Verifier, ...]:
    keys = (load_key(pem.encode()) for pem in pems)
    return tuple(key.public if isinstance(key, PrivateKey) else key for key in keys)


def home() -> Path:
    """The folder of the devices: ``SMPDFU_VIRTUAL_HOME``, else one in the folder for what smpdfu remembers."""
    given = os.environ.get("SMPDFU_VIRTUAL_HOME")
    return Path(given) if given else state_home() / "virtual"


def list_devices() -> tuple[str, ...]:
    """The names of the devices, sorted."""
    try:
        return tuple(sorted(path.parent.name for path in home().glob("*/device.json") if _is_name(path.parent.name)))
    except OSError:
        return ()


def create(name: str, recipe: Recipe) -> None:
    """Make a device with blank flash. ValueError if the name is not one, or taken; ``KeyFileError``; ``OSError``."""
    if not _is_name(name):
        raise ValueError(f"{name!r} is no name for a device: use letters, digits, dots, - and _, up to 64 of them")
    if name in list_devices():
        raise ValueError(f"there is a virtual device named {name!r} already")
    if recipe.layout not in LAYOUTS:
        raise ValueError(f"there is no layout {recipe.layout!r}; known are {', '.join(LAYOUTS)}")
    recipe.boot_keys()
    layout = LAYOUTS[recipe.layout]
    home().mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = home() / f".{name}.{secrets.token_hex(4)}"
    beside.mkdir(mode=0o700)
    try:
        for region, file in ((layout.flash, "app.flash"), (layout.net.flash, "net.flash")):
            # Filled and not sparse: on a full disk this fails here, and never a mapped page later.
            write_file_atomic(beside / file, bytes([ERASED]) * region.size_bytes, mode=0o600)
        write_file_atomic(beside / "device.json", _to_json(asdict(recipe)), mode=0o600)
        beside.rename(home() / name)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def open_device(name: str, *, switch_on: bool = True) -> StoredDevice:
    """Take the device and switch it on, or take it up where it was put aside; ``close`` it, or use ``with``.

    A device without power boots, unless ``switch_on`` is False: then that is left to ``reset``.
    Raises ConnectError if there is none, somebody else has it, or its files are damaged.
    """
    folder = _folder(name)
    lock = _locked(name, folder)
    try:
        with _sentences(name):
            return StoredDevice(name, folder, lock, switch_on=switch_on)
    except BaseException:
        lock.release()
        raise


def view_device(name: str) -> VirtualNrf5340:
    """The device as it is at this moment, to look at, whoever has it; what would write its flash fails.

    Raises ConnectError if there is none, or its files are damaged.
    """
    folder = _folder(name)
    with _sentences(name):
        recipe = _read_recipe(folder)
        app, net = (flash for _, flash in _map_flashes(folder, LAYOUTS[recipe.layout], mmap.ACCESS_READ))
        device = VirtualNrf5340(LAYOUTS[recipe.layout], recipe.boot_keys(), app=app, net=net, name=name)
        held = holder(folder / "lock")
        ram = _read_ram(folder / "ram.json") if held is None else _runs(held)
        if ram is not None:
            device.resume(ram)
    return device


def delete(name: str) -> None:
    """Remove the device and all its files. Raises ConnectError if there is none or somebody has it; ``OSError``."""
    folder = _folder(name)
    lock = _locked(name, folder)
    grave = folder.with_name(f".{name}.{secrets.token_hex(4)}")
    try:
        folder.rename(grave)
    finally:
        lock.release()
    shutil.rmtree(grave)


def read_log(name: str) -> list[str]:
    """The lines of the device's console, oldest first. Raises ConnectError if there is no such device."""
    path = _folder(name) / "console.log"
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def holder_of(name: str) -> dict[str, Any] | None:
    """Who has the device: ``pid``, and ``port`` where it is served; None if nobody has."""
    return holder(_folder(name) / "lock")


class StoredDevice(VirtualNrf5340):
    """A device of the store; made by ``open_device``."""

    def __init__(self, name: str, folder: Path, lock: Lock, *, switch_on: bool) -> None:
        recipe = _read_recipe(folder)
        layout = LAYOUTS[recipe.layout]
        self._folder, self._lock, self._port = folder, lock, ""
        self._maps, (app, net) = zip(*_map_flashes(folder, layout, mmap.ACCESS_WRITE), strict=True)
        super().__init__(layout, recipe.boot_keys(), app=app, net=net, name=name)
        self._console_log = _open_log(folder / "console.log")
        self.watch(self._keep_line)
        ram = _read_ram(folder / "ram.json")
        (folder / "ram.json").unlink(missing_ok=True)  # from now on the power is ours to lose
        if ram is not None:
            self.resume(ram)
        elif switch_on:
            self.reset()
        self.announce("")

    def reset(self) -> BootResult | None:
        """Boot, and tell who looks from outside how that ended."""
        result = super().reset()
        self.announce(self._port)
        return result

    def announce(self, port: str) -> None:
        """Say to others who want this device at which port it is served; "" for none."""
        self._port = port
        served = {"port": port} if port else {}
        self._lock.tell(app_runs=self.running is not None, net_runs=self.net_core.running, **served)

    def close(self) -> None:
        """Put the device aside as it is, and let others have it; no harm if that was done."""
        maps, self._maps = self._maps, ()
        if not maps:
            return
        try:
            ram = self.put_aside()
            if ram is not None:
                write_file_atomic(self._folder / "ram.json", _to_json(asdict(ram)), mode=0o600)
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
    """A wire to the device named ``device``, which is taken when it opens and given back when it closes."""

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
        wire, device = self._wire, self._device
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


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _folder(name: str) -> Path:
    if name not in list_devices():
        known = ", ".join(list_devices()) or "none"
        raise ConnectError(f"there is no virtual device named {name!r}; there is: {known}", f"virtual:{name}")
    return home() / name


def _locked(name: str, folder: Path) -> Lock:
    lock = Lock(folder / "lock")
    try:
        with _sentences(name):
            lock.acquire()
    except HeldError as error:
        who = f"process {error.note['pid']}" if "pid" in error.note else "another process"
        port = f", which serves it at {error.note['port']}" if "port" in error.note else ""
        raise ConnectError(f"virtual device {name!r} is in use by {who}{port}", f"virtual:{name}") from None
    return lock


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """What is wrong with the files of a device, as one sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SmpdfuError) as error:
        raise ConnectError(f"virtual device {name!r} cannot be used: {error}", f"virtual:{name}") from error


def _read_recipe(folder: Path) -> Recipe:
    found = json.loads((folder / "device.json").read_text())
    recipe = Recipe(found["layout"], tuple(found["sign_keys"]), tuple(found["net_keys"]), found["enc_key"])
    if recipe.layout not in LAYOUTS:
        raise ValueError(f"its layout {recipe.layout!r} is not known")
    return recipe


def _map_flashes(folder: Path, layout: Layout, access: int) -> list[tuple[mmap.mmap, Flash]]:
    """The flashes of application and network core, each with the mapped file that it lives in."""
    parts = (("app.flash", layout.flash, layout.sector_size), ("net.flash", layout.net.flash, layout.net.page_size))
    found = []
    for file, region, page_size in parts:
        storage = _map(folder / file, region.size_bytes, access)
        found.append((storage, Flash(region.start, region.size_bytes, page_size=page_size, storage=storage)))
    return found


def _map(path: Path, size_bytes: int, access: int) -> mmap.mmap:
    with path.open("r+b") as file:
        if os.fstat(file.fileno()).st_size != size_bytes:
            raise ValueError(f"{path} does not have {size_bytes} bytes")
        return mmap.mmap(file.fileno(), size_bytes, access=access)


def _open_log(path: Path) -> Any:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(descriptor).st_size > _LOG_MAX:
        os.ftruncate(descriptor, 0)
    return os.fdopen(descriptor, "a", buffering=1, encoding="utf-8")


def _read_ram(path: Path) -> Ram | None:
    """What was put aside; None where nothing, or nothing whole, is left."""
    try:
        found = json.loads(path.read_text())
        upload = found["upload"]
        if upload is not None:
            upload = Progress(**upload | {key: bytes.fromhex(upload[key]) for key in ("sha", "block")})
        return replace(_runs(found), upload=upload)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _runs(found: dict[str, Any]) -> Ram:
    return Ram(found.get("app_runs") is True, found.get("net_runs") is True)


def _to_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=bytes.hex, indent=1).encode()
