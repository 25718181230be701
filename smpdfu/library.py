"""The whole job in one call, for programs; ``smpdfu update`` and ``smpdfu upload`` do the same with words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smpdfu.connect import client_for, parse_address, places_by_lookup
from smpdfu.dfu.decide.evidence import UNKNOWN_BOOTLOADER, Bootloader
from smpdfu.dfu.decide.one_image import Wanted
from smpdfu.dfu.do import health as checks
from smpdfu.dfu.do.device_lock import locked
from smpdfu.dfu.do.events import Event, ignore
from smpdfu.dfu.do.health import Health, echoes
from smpdfu.dfu.do.journal import Journal, journal_path
from smpdfu.dfu.do.net_version import VersionRule
from smpdfu.dfu.do.one_image import ImageEvent, ImageRequest, InstalledImage, install_one, load_image, warning_to
from smpdfu.dfu.do.one_image import ignore as ignore_image
from smpdfu.dfu.do.result import Installed as Installed
from smpdfu.dfu.do.serial_recovery import RecoveredImage, upload_in_recovery
from smpdfu.dfu.do.steps import DEADLINES, Deadlines
from smpdfu.dfu.do.update import AS_USUAL, Update, Wish
from smpdfu.dfu.package.package import CoreImage, Package
from smpdfu.image.keys.keys import Verifier

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
) -> Installed:
    """Install a package on the device at ``address``: both cores in the right order, checked at every step.

    Call it again after any interruption; it reads the device and continues. ``watch`` is called with every event; an
    error that it raises ends the call and comes out unchanged.
    ``net_version_from`` is a rule by which the application reports the network core's version, such as
    ``settings:net/version``.

    Raises ValueError if it is no such rule, PackageError, ConnectError, PlanError if
    preflight refuses (nothing was written), RevertedError if the device runs its previous firmware, StepError,
    DeviceError, LinkError, or JournalError if another call is updating this device.
    """
    whole = package if isinstance(package, Package) else Package.load(package)
    found = parse_address(address)
    ask = None if net_version_from is None else VersionRule.from_text(net_version_from).ask(str(found))
    with locked(await places_by_lookup(address)), Journal(journal_path(found.place)) as journal:
        async with client_for(found) as client:
            update = Update(client, whole, journal, wish=wish, deadlines=deadlines, health=health, net_version=ask)
            decision = await update.look()
            return await update.run(decision, watch or ignore)


async def install_image(
    address: str,
    image: CoreImage | Path | str,
    *,
    wanted: Wanted = CONFIRM,
    bootloader: Bootloader = UNKNOWN_BOOTLOADER,
    trust: tuple[Verifier, ...] = (),
    deadlines: Deadlines = DEADLINES,
    watch: Callable[[ImageEvent], None] = ignore_image,
) -> InstalledImage:
    """Install one signed image on the device at ``address``, by default until it runs permanently.

    ``wanted`` chooses the slot, a test or an upload alone. Call it again after any interruption; it continues by what
    the device says. There is no journal: see ``dfu/do/one_image.py``. ``watch`` is called with every event; an error
    that it raises ends the call and comes out unchanged.

    Raises ImageError if the file is not one signed image, ConnectError, PlanError if the checks refuse (nothing was
    written), RevertedError if the device runs its previous firmware, NotBackError, StepError, DeviceError, LinkError,
    or JournalError if another call is updating this device. If the state folder cannot be written, the device is not
    locked: ``watch`` gets a warning.
    """
    request = ImageRequest(_loaded(image), wanted, bootloader, trust, deadlines)
    with locked(await places_by_lookup(address), warning_to(watch)):
        async with client_for(parse_address(address)) as client:
            return await install_one(client, request, watch)


async def recover_image(
    address: str,
    image: CoreImage | Path | str,
    *,
    wanted: Wanted = UPLOAD,
    trust: tuple[Verifier, ...] = (),
    watch: Callable[[ImageEvent], None] = ignore_image,
) -> RecoveredImage:
    """Send one signed image to a device in MCUboot's serial recovery, where it overwrites what runs.

    ``wanted`` may have ``image``, an image number of serial recovery (0: application, 3: network core), and ``force``;
    by default the image shows its core. Reset the device afterwards. ``watch`` is called with every event; an error
    that it raises ends the call and comes out unchanged.

    Raises ValueError if ``wanted`` asks for a test, a confirmation or a slot, ImageError if the file is not one signed
    image or the bootloader does not accept it, ConnectError, PlanError if the device is not in serial recovery or the
    wrong core would get the image (nothing was written), DeviceError, LinkError, or JournalError if another call is
    updating this device. If the state folder cannot be written, the device is not locked: ``watch`` gets a warning.
    """
    request = ImageRequest(_loaded(image), wanted, trust=trust)
    with locked(await places_by_lookup(address), warning_to(watch)):
        async with client_for(parse_address(address)) as client:
            return await upload_in_recovery(client, request, watch)


def _loaded(image: CoreImage | Path | str) -> CoreImage:
    return image if isinstance(image, CoreImage) else load_image(image)
