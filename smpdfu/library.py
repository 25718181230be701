"""The whole job in one call, for programs; ``smpdfu update`` and ``smpdfu upload`` do the same with words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smpdfu.client import Client
from smpdfu.connect import client_for, parse_address, place_of, places_by_lookup
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.evidence import UNKNOWN_BOOTLOADER, Bootloader
from smpdfu.dfu.decide.one_image import Wanted
from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.do import health as checks
from smpdfu.dfu.do.events import Event, ignore
from smpdfu.dfu.do.health import Health, echoes
from smpdfu.dfu.do.journal.device_lock import locked
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import journal_path, read_record
from smpdfu.dfu.do.journal.repair import remove, set_aside
from smpdfu.dfu.do.net_version import AskVersion, VersionRule
from smpdfu.dfu.do.one_image import ImageEvent, ImageRequest, InstalledImage, install_one, load_image, warning_to
from smpdfu.dfu.do.one_image import ignore as ignore_image
from smpdfu.dfu.do.replacing.reach import Reach, read_device
from smpdfu.dfu.do.replacing.serial_recovery import RecoveredImage, upload_in_recovery
from smpdfu.dfu.do.result import Installed as Installed
from smpdfu.dfu.do.same_device import read_hardware
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.steps import DEADLINES, Deadlines
from smpdfu.dfu.do.update import AS_USUAL, Decision, Update, Wish, decide, with_unconfirmable
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys

CONFIRM = Wanted(confirm=True)
UPLOAD = Wanted()
health_command = checks.command
health_soak = checks.soak


async def install(
    address: str,
    package: Package | Path | str,
    *,
    wish: Wish = AS_USUAL,
    health: Health = echoes,
    net_version_from: str | None = None,
    deadlines: Deadlines = DEADLINES,
    watch: Callable[[Event], None] | None = None,
    loader_address: str | None = None,
) -> Installed:
    """Install a package on the device at ``address``: both cores in the right order, checked at every step.

    Call it again after any interruption; it reads the device and continues. ``watch`` is called with every event; an
    error that it raises ends the call and comes out unchanged.
    ``net_version_from`` is a rule by which the application reports the network core's version, such as
    ``settings:net/version``. ``loader_address`` is where the device answers in its firmware loader, or in MCUboot's
    serial recovery, if that is another address than ``address``.

    Raises ValueError if ``net_version_from`` is no such rule, PackageError, ConnectError, PlanError if preflight
    refuses (nothing was written), RevertedError if the device runs its previous firmware, ImageError if the bootloader
    does not start an image that replaced the application, StepError, DeviceError, LinkError, or JournalError if another
    call is updating this device.
    """
    found = parse_address(address)
    ask = None if net_version_from is None else VersionRule.from_text(net_version_from).ask(str(found))
    async with open_update(
        address,
        _package(package),
        client_for(found),
        wish=wish,
        health=health,
        net_version=ask,
        deadlines=deadlines,
        loader=None if loader_address is None else Loader.at(loader_address),
    ) as update:
        return await update.run(await update.look(), watch or ignore)


async def plan_update(
    address: str,
    package: Package | Path | str,
    *,
    wish: Wish = AS_USUAL,
    client: Client | Reach | None = None,
    loader_address: str | None = None,
) -> Decision:
    """Read the device at ``address`` and return what ``install`` would do. Nothing is written, here or there.

    ``client`` is an open client for the device; by default one is opened, and where nothing answers one for
    ``loader_address``, as ``install`` has it.

    Raises PackageError, ConnectError, PlanError if there is no plan for this device, DeviceError, LinkError, or
    JournalError if the journal of the device cannot be read.
    """
    if client is not None:
        return await _plan(address, package, wish, client if isinstance(client, Reach) else Reach(client))
    loader = None if loader_address is None else client_for(parse_address(loader_address))
    async with Reach(client_for(parse_address(address)), loader) as reach:
        return await _plan(address, package, wish, reach)


async def _plan(address: str, package: Package | Path | str, wish: Wish, reach: Reach) -> Decision:
    record, whole = recorded_update(address), _package(package)
    found = await read_device(reach, whole, record)
    return decide(whole, await with_unconfirmable(reach.current, whole, found, record, wish), record, wish)


@asynccontextmanager
async def open_update(
    address: str,
    package: Package,
    client: Client,
    *,
    wish: Wish = AS_USUAL,
    health: Health = echoes,
    net_version: AskVersion | None = None,
    deadlines: Deadlines = DEADLINES,
    loader: Loader | None = None,
    action: Mapping[str, Any] | None = None,
) -> AsyncIterator[Update]:
    """Lock the device at ``address``, open ``client`` and the journal, and yield the update.

    ``loader`` is another address of the device, which is locked, too: that of its firmware loader, or of its
    bootloader in serial recovery. The journal is that of ``address``. ``action`` names what ordered the update, such as
    a server's action: the journal has it before anything is sent, and ``recorded_update`` gives it back.

    Raises ConnectError, LinkError, or JournalError if another call is updating this device.
    """
    places = [*await places_by_lookup(address), *(await places_by_lookup(loader.address) if loader else ())]
    with locked(places):
        async with Reach(client, loader.client if loader else None) as reach:
            with Journal(journal_of(address)) as journal:
                yield Update(
                    reach,
                    package,
                    journal,
                    wish=wish,
                    deadlines=deadlines,
                    health=health,
                    net_version=net_version,
                    action=action,
                )


@dataclass(frozen=True, slots=True)
class Loader:
    """The client for a device in its firmware loader, or in serial recovery, and its address there."""

    address: str
    client: Client

    @classmethod
    def at(cls, address: str) -> Loader:
        """With a client of the usual patience. Raises ConnectError if this is no address."""
        return cls(address, client_for(parse_address(address)))


@asynccontextmanager
async def open_device(
    address: str, client: Client, *, unlocked: Callable[[str], None] | None = None
) -> AsyncIterator[Client]:
    """Lock the device at ``address``, so that no other call updates it at the same time, and open ``client``.

    ``unlocked`` is called with a sentence if the state folder cannot be written; without it, that is a JournalError.

    Raises ConnectError, LinkError, or JournalError if another call is updating this device.
    """
    with locked(await places_by_lookup(address), unlocked):
        async with client:
            yield client


async def read_device_state(address: str, *, client: Client | None = None) -> DeviceState:
    """Read what the device at ``address`` tells of its images, its bootloader and itself. Nothing is written.

    ``client`` is a client for it that is not open; by default one is made.

    Raises ConnectError, DeviceError, LinkError, or JournalError if another call is updating this device.
    """
    async with open_device(address, client or client_for(parse_address(address))) as opened:
        state = await read_state(opened)
        return replace(state, hardware=await read_hardware(opened))


def journal_of(address: str) -> Path:
    """Return where the journal of the device at ``address`` is, or will be. Raises ConnectError."""
    return journal_path(place_of(address))


def recorded_update(address: str) -> Record:
    """Return the latest update in the journal of the device at ``address``. Raises ConnectError or JournalError."""
    return read_record(journal_of(address))


def set_journal_aside(address: str) -> Path | None:
    """Rename the journal of the device at ``address``, so that the next update begins a new one.

    Return its new name, or None if there was no journal. Raises ConnectError, or JournalError if another process
    holds it.
    """
    return set_aside(journal_of(address))


def delete_journal(address: str) -> None:
    """Delete the journal of the device at ``address``: the device does not exist any more.

    Raises ConnectError, or JournalError if another process holds it.
    """
    remove(journal_of(address))


async def install_image(
    address: str,
    image: PackageImage | Path | str,
    *,
    wanted: Wanted = CONFIRM,
    bootloader: Bootloader = UNKNOWN_BOOTLOADER,
    trust: tuple[Verifier, ...] = (),
    deadlines: Deadlines = DEADLINES,
    watch: Callable[[ImageEvent], None] = ignore_image,
    nsib: NsibKeys = NO_NSIB_KEYS,
) -> InstalledImage:
    """Install one signed image on the device at ``address``, by default until it runs permanently.

    ``wanted`` chooses the slot, a test or an upload alone. Call it again after any interruption; it continues by what
    the device says. The journal of the device notes an image that may run from now on, for ``affected`` alone.
    ``watch`` is called with every event; an error that it raises ends the call and comes out unchanged.
    ``nsib``: the keys that b0 and b0n of the device trust; an image for them with another seal is refused.

    Raises ImageError if the file is not one signed image, ConnectError, PlanError if the checks refuse (nothing was
    written), RevertedError if the device runs its previous firmware, NotBackError, StepError, DeviceError, LinkError,
    or JournalError if another call is updating this device. If the state folder cannot be written, the device is not
    locked and its journal notes nothing: ``watch`` gets warnings.
    """
    request = ImageRequest(_loaded(image), wanted, bootloader, trust, deadlines, nsib)
    async with open_device(address, client_for(parse_address(address)), unlocked=warning_to(watch)) as client:
        return await install_one(client, request, watch, journal=journal_of(address))


async def recover_image(
    address: str,
    image: PackageImage | Path | str,
    *,
    wanted: Wanted = UPLOAD,
    trust: tuple[Verifier, ...] = (),
    watch: Callable[[ImageEvent], None] = ignore_image,
    nsib: NsibKeys = NO_NSIB_KEYS,
) -> RecoveredImage:
    """Send one signed image to a device in MCUboot's serial recovery, where it overwrites what runs.

    ``wanted`` may have ``image``, an image number of serial recovery (0: application, 3: network core), and ``force``;
    by default the image shows its core. Reset the device afterwards. ``watch`` is called with every event; an error
    that it raises ends the call and comes out unchanged. ``nsib`` as for ``install_image``.

    Raises ValueError if ``wanted`` asks for a test, a confirmation or a slot, ImageError if the file is not one signed
    image or the bootloader does not accept it, ConnectError, PlanError if the device is not in serial recovery or the
    wrong core would get the image (nothing was written), DeviceError, LinkError, or JournalError if another call is
    updating this device. If the state folder cannot be written, the device is not locked and its journal notes nothing:
    ``watch`` gets warnings.
    """
    request = ImageRequest(_loaded(image), wanted, trust=trust, nsib=nsib)
    async with open_device(address, client_for(parse_address(address)), unlocked=warning_to(watch)) as client:
        return await upload_in_recovery(client, request, watch, journal=journal_of(address))


def _package(package: Package | Path | str) -> Package:
    return package if isinstance(package, Package) else Package.load(package)


def _loaded(image: PackageImage | Path | str) -> PackageImage:
    return image if isinstance(image, PackageImage) else load_image(image)
