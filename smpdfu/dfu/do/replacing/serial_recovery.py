"""Upload one image in MCUboot's serial recovery, and see whether the bootloader lists it.

The upload overwrites what runs: there is no test, no slot to choose and no way back. ``decide/serial_recovery`` has the
numbers of the images there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from smpdfu.client import Client, UploadProgress, UploadResult
from smpdfu.dfu.decide.checks.findings import Severity, refusal
from smpdfu.dfu.decide.checks.preflight import recovery_findings
from smpdfu.dfu.decide.serial_recovery import (
    KEEP_POWER,
    NETWORK,
    SECONDARY,
    has_direct_upload,
    no_such_number,
    not_met,
    recovery_number,
)
from smpdfu.dfu.do.events import watched
from smpdfu.dfu.do.journal.updates import UploadLine
from smpdfu.dfu.do.journal.uploads import UploadJournal
from smpdfu.dfu.do.one_image import (
    ImageEvent,
    ImageNote,
    ImageRequest,
    ImageStage,
    ignore,
    read_known,
    show_findings,
    warning_to,
)
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.seals import with_its_role
from smpdfu.errors import DeviceError, ImageError
from smpdfu.smp.groups.image import StateRead


@dataclass(frozen=True, slots=True)
class RecoveredImage:
    """What serial recovery did with one image.

    ``number``: the image number of serial recovery that it was sent to. ``accepted``: the bootloader lists it; None
    where it does not tell.
    """

    image: PackageImage
    number: int
    sent: UploadResult
    accepted: bool | None = None

    @property
    def verified(self) -> bool:
        """True if the bootloader lists the image, or has compared its bytes."""
        return bool(self.accepted or self.sent.match)

    @property
    def of_network_core(self) -> bool:
        """True if the bootloader still copies the image to the network core: the power must stay on."""
        return self.number == NETWORK


async def upload_in_recovery(
    client: Client,
    request: ImageRequest,
    watch: Callable[[ImageEvent], None] = ignore,
    *,
    journal: Path | None = None,
) -> RecoveredImage:
    """Send the image to the slot of its core, or to ``request.wanted.image``. ``journal`` as for ``install_one``.

    Raises PlanError before anything is written if the device is not in serial recovery or the wrong core would get the
    image, ImageError if the bootloader does not accept it, DeviceError, LinkError, and ValueError for a test, a
    confirmation or a slot, which serial recovery does not have. An error that ``watch`` raises comes out unchanged.
    """
    wanted = request.wanted
    if wanted.boots or wanted.slot is not None:
        raise ValueError("serial recovery has no test, no confirmation and no slot: it overwrites what runs")
    return await watched(partial(_upload, client, request, journal), watch)


async def _upload(
    client: Client, request: ImageRequest, journal: Path | None, watch: Callable[[ImageEvent], None]
) -> RecoveredImage:
    image, wanted = request.image, request.wanted
    state = await read_known(client, request)
    if not state.recovery:
        raise not_met()
    found = recovery_findings(with_its_role(image), state)
    if not wanted.force and (errors := [one for one in found if one.severity is Severity.ERROR]):
        raise refusal(errors)
    show_findings(found, watch)
    number = recovery_number(image, wanted.image, direct=has_direct_upload(state.sizes), force=wanted.force)
    if number == NETWORK:
        text = f"the bootloader copies the image to the network core at the end: {KEEP_POWER} after that"
        watch(ImageNote(text, warning=False))
    notes = UploadJournal(journal, warning_to(watch))
    await notes.begin(ImageRecord.of(image), device=client.name, runs=None, hardware=None)
    result = await _send(client, image, number, watch)
    accepted = None if number == NETWORK else await _lists(client, image)
    if accepted is False:
        raise ImageError(
            f"the bootloader has {image.file} and does not accept it (another key, or not for this device): it stays "
            "in recovery until it gets an image that it accepts"
        )
    done = RecoveredImage(image, number, result, accepted)
    if done.verified and number != SECONDARY:  # it is what the bootloader starts; nobody has seen it run
        await notes.end(UploadLine.INSTALLED, proven=False, runs=None)
    return done


async def _send(client: Client, image: PackageImage, number: int, watch: Callable[[ImageEvent], None]) -> UploadResult:
    sent = 0

    def progress(now: UploadProgress) -> None:
        nonlocal sent
        sent = max(sent, now.off)
        watch(now)

    watch(ImageStage.REPLACING)
    try:
        result = await client.upload(image.data, number, progress=progress, compare=False, names_image=True)
    except DeviceError as error:
        if sent:
            raise
        raise no_such_number(image, number, error) from None
    watch(ImageStage.SENT)
    return result


async def _lists(client: Client, image: PackageImage) -> bool | None:
    """Does the bootloader list ``image``? It lists what it accepts; None where it tells no hashes."""
    slots = (await client.request(StateRead())).images
    if any(slot.hash is None for slot in slots) or image.hash is None:
        return None
    return any(slot.hash == image.hash for slot in slots)
