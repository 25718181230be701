"""Install one image: check, upload, and on request bring it to run, with the steps of ``update``.

It does not continue by a journal, on purpose. A call that was interrupted continues by what the device says: it lists
what it holds, what is pending and what runs, and an upload continues at the offset that it names. So the same call
continues on any computer. The journal of a device holds one update, the last that began: a record of one image would
end an interrupted update of a package there, and ``update --resume`` would find nothing to continue. Both were tried,
see ``tests/cli/device/test_cli_one_at_a_time.py``. The callers lock the device instead (``device_lock``). What the
journal gets are lines that an update passes over, for a search for devices that run an image (``journal/uploads``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from os import PathLike
from pathlib import Path

from smpdfu.client import Client, UploadProgress, UploadResult
from smpdfu.dfu.decide import serial_recovery
from smpdfu.dfu.decide.announcement import announcement
from smpdfu.dfu.decide.checks.demands import check_not_mcuboot, check_seals, check_trust
from smpdfu.dfu.decide.checks.findings import Finding, Severity, refusal
from smpdfu.dfu.decide.checks.preflight import image_findings
from smpdfu.dfu.decide.checks.seals import SEALS
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.evidence import UNKNOWN_BOOTLOADER, Bootloader
from smpdfu.dfu.decide.one_image import (
    DAMAGED,
    Job,
    Left,
    Wanted,
    Way,
    of_pair,
    read_back,
)
from smpdfu.dfu.decide.proof import net_taken
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.decide.steps.next_step import NextStep, how_to_start, marked, starts_unmarked
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.do.events import watched
from smpdfu.dfu.do.image_entries import running_hash
from smpdfu.dfu.do.journal.updates import UploadLine
from smpdfu.dfu.do.journal.uploads import UploadJournal
from smpdfu.dfu.do.one_image_steps import bring_to_run, find_job
from smpdfu.dfu.do.same_device import SameDevice
from smpdfu.dfu.do.state_reading import read_slots, read_state
from smpdfu.dfu.do.steps import DEADLINES, Deadlines, StepRunner, mark
from smpdfu.dfu.do.update import Wish, known_of
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.seals import is_mcuboot, with_its_role
from smpdfu.errors import FormatError, ImageError, PlanError, RevertedError, SmpdfuError
from smpdfu.image.files import FileKind, identify, read_bounded, read_firmware
from smpdfu.image.inspect.not_firmware import image_inside
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys

MAX_FILE_BYTES = 64 * 1024 * 1024

# What speaks against sending alone. A slot with its trailer in it marks itself (permanent with --confirm), whatever was
# asked for; a device that does not know its own slot writes over what runs.
_MARKS_ITSELF = "padded"
_HARMS_AT_ONCE = {_MARKS_ITSELF, "active-slot"}
# What the image of the other core, or the other half, may still mend, where this call only marks one of them.
_MAY_BE_MET = {"dependency", "half-alone"}


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What is wanted of one image.

    ``wanted``: which slot, and whether it is to be tested or installed. ``bootloader`` is what is known of the device's
    bootloader. ``trust``: the keys of which one must have signed the image; without any, all are taken. ``nsib``: the
    keys that b0 and b0n of the device trust, as far as known.
    """

    image: PackageImage
    wanted: Wanted = field(default_factory=Wanted)
    bootloader: Bootloader = UNKNOWN_BOOTLOADER
    trust: tuple[Verifier, ...] = ()
    deadlines: Deadlines = DEADLINES
    nsib: NsibKeys = NO_NSIB_KEYS

    def __post_init__(self) -> None:
        """Raise PlanError for an untrusted signer; without ``force`` for a seal and for MCUboot that is to run."""
        check_trust((self.image,), self.trust)
        if not self.wanted.force:
            check_seals((with_its_role(self.image),), self.nsib)
        if self.wanted.boots and not self.wanted.force:
            check_not_mcuboot(self.image)


class ImageStage(StrEnum):
    """Where the installation of one image is. SENT: the upload is over, nothing is marked yet."""

    SENDING = "sending"
    REPLACING = "replacing"
    SENT = "sent"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class ImageNote:
    """A sentence for people; ``warning``: there is something to look after. ``finding``: the finding, if it is one."""

    text: str
    warning: bool
    finding: Finding | None = None


ImageEvent = ImageNote | ImageStage | UploadProgress


def ignore(event: ImageEvent) -> None:
    """Watch nothing."""


def warning_to(watch: Callable[[ImageEvent], None]) -> Callable[[str], None]:
    """What passes a sentence to ``watch`` as a warning."""
    return lambda text: watch(ImageNote(text, warning=True))


@dataclass(frozen=True, slots=True)
class InstalledImage:
    """What became of one image.

    ``number`` and ``slot``: where the image is. ``changed``: False if there was nothing to do. ``sent`` is None where
    the device had the image. ``marked``: ``test``, ``permanent`` or None. ``running``: it was seen to run. ``proven``:
    that, or it was seen to be handed over to the network core; None: nothing was tried. ``proof`` is what is known of
    the network core. ``reverts``: whether the bootloader can go back, as a trial showed; None if there was none.
    ``next_step``: what has an image run that was only sent or marked. ``state`` is what the device said last.
    """

    image: PackageImage
    number: int
    slot: int
    state: DeviceState
    changed: bool = True
    sent: UploadResult | None = None
    marked: str | None = None
    running: bool = False
    proven: bool | None = None
    proof: Proof | None = None
    reverts: bool | None = None
    next_step: NextStep | None = None


class NotOneImageError(FormatError):
    """A file is not one signed image; ``kind`` says what it is, ``whole_flash`` that a signed image is inside."""

    def __init__(self, message: str, kind: FileKind, offset: int | None = None, *, whole_flash: bool = False) -> None:
        super().__init__(message, offset)
        self.kind = kind
        self.whole_flash = whole_flash


def load_image(path: str | PathLike[str]) -> PackageImage:
    """Load the signed image in a file, .bin or .hex. Raises ImageError, NotOneImageError or OSError."""
    path = Path(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ImageError(f"{path} is larger than any flash: {path.stat().st_size} bytes")
    if identify(read_bounded(path)) is FileKind.DFU_APPLICATION_ZIP:
        raise NotOneImageError(f"{path} is a package for whole devices", FileKind.DFU_APPLICATION_ZIP)
    data = read_firmware(path).flat()
    try:
        return PackageImage.from_bytes(data, path.name)
    except FormatError as error:
        kind = identify(data)
        if kind is FileKind.MCUBOOT_IMAGE:
            raise FormatError(f"{path} is not a whole MCUboot image: {error}", error.offset) from None
        if image_inside(data) is not None:
            text = f"{path} is no image but a whole flash"
            raise NotOneImageError(text, kind, error.offset, whole_flash=True) from None
        if kind is not FileKind.RAW_FIRMWARE:
            raise NotOneImageError(f"{path} is no image but: {kind}", kind, error.offset) from None
        raise NotOneImageError(f"{path} is not signed for MCUboot ({error})", kind, error.offset) from None


async def install_one(
    client: Client,
    request: ImageRequest,
    watch: Callable[[ImageEvent], None] = ignore,
    *,
    journal: Path | None = None,
) -> InstalledImage:
    """Do what is asked for, as far as it is not done.

    ``journal`` is the journal of the device: it gets a note of an image that may run from now on. If it cannot be
    written, ``watch`` gets a warning.

    Raises PlanError before anything is written where checks speak against it (unless ``Wanted.force``), RevertedError
    when the device runs its previous firmware, NotBackError, StepError, DeviceError, LinkError. An error that ``watch``
    raises ends the call and comes out unchanged; the same call continues.
    """
    return await watched(partial(_install, client, request, journal), watch)


async def read_known(client: Client, request: ImageRequest) -> DeviceState:
    """Read the device, with what is known of its bootloader. Raises LinkError."""
    return known_of(await read_state(client), Record(), Wish(bootloader=request.bootloader, nsib=request.nsib))


async def _install(
    client: Client, request: ImageRequest, journal: Path | None, watch: Callable[[ImageEvent], None]
) -> InstalledImage:
    wanted = request.wanted
    read = await read_known(client, request)
    if read.recovery:
        raise serial_recovery.met_unasked()
    same = SameDevice(client)
    state = await same.learn(read)
    job = await find_job(client, request.image, state, wanted)
    image = of_pair(request.image, job, state)
    found = _check(image, state, wanted, watch)
    notes = _Notes(UploadJournal(journal, warning_to(watch)), same, image, job, wanted)
    if job.left is Left.NOTHING:
        await notes.begin(state)
        return await notes.end(_in_place(image, state, job, wanted))
    if text := announcement(job, image, state):  # a warning where there may be no way back
        harmless = job.way is Way.TRIAL and job.reverts is not None and not is_mcuboot(image)
        watch(ImageNote(text, warning=not harmless))
    unchanged = partial(same.check, Step(Action.CHECK if job.replaces else Action.UPLOAD, image.role), state)
    await unchanged()
    starts = starts_unmarked(image, state, job) or any(one.code == _MARKS_ITSELF for one in found)
    if starts:
        await notes.begin(state)
    sent = None
    if job.left is not Left.STARTED:
        sent = await _send(client, image, job, watch, unchanged)
        await unchanged()
    held = await read_slots(client, state)
    done = InstalledImage(image, job.image, job.slot, held, sent=sent, marked=_mark_of(wanted, job))
    if wanted.boots:
        if not starts:
            await notes.begin(state)
        done = await notes.end(await notes.reverted(_after(same, done, job, request, watch), state))
    if not wanted.confirm:
        done = replace(done, next_step=(marked if wanted.test else how_to_start)(image, state, job))
    return replace(done, slot=read_back(image, done.state, job))


@dataclass(frozen=True, slots=True)
class _Notes:
    """What the journal of the device gets of one image."""

    journal: UploadJournal
    same: SameDevice
    image: PackageImage
    job: Job
    wanted: Wanted

    async def begin(self, state: DeviceState) -> None:
        """From now on the image may run."""
        record = ImageRecord.of(with_its_role(self.image))
        if self.job.image and self.image.role is Role.APP:  # a pair that is not the application's
            record = replace(record, part=f"{Role.OTHER} {self.job.image}")
        device, runs = self.same.client.name, running_hash(state)
        await self.journal.begin(record, device=device, runs=runs, hardware=self.same.hardware)

    async def end(self, done: InstalledImage) -> InstalledImage:
        """Note that the image was installed. One that is only marked may run or not."""
        if self.wanted.confirm:
            runs = running_hash(done.state)
            await self.journal.end(UploadLine.INSTALLED, proven=done.proven is True, runs=runs)
        return done

    async def reverted(self, doing: Awaitable[InstalledImage], state: DeviceState) -> InstalledImage:
        """What ``doing`` returns. If the device went back, that is noted, with what it runs."""
        try:
            return await doing
        except RevertedError:
            with suppress(SmpdfuError):
                runs = running_hash(await read_slots(self.same.client, state))
                await self.journal.end(UploadLine.REVERTED, proven=False, runs=runs)
            raise


def _in_place(image: PackageImage, state: DeviceState, job: Job, wanted: Wanted) -> InstalledImage:
    """Nothing is left to do: the image runs, or waits as it is wanted."""
    if job.image == 0 and state.running is not None and state.running.hash == image.hash:
        return InstalledImage(image, 0, state.running.slot, state, changed=False, running=True, proven=True)
    slot = read_back(image, state, job)
    next_step = marked(image, state, job)
    mark_of = _mark_of(wanted, job)
    return InstalledImage(image, job.image, slot, state, changed=False, marked=mark_of, next_step=next_step)


def _mark_of(wanted: Wanted, job: Job) -> str | None:
    takes_marks = job.way not in (Way.HIGHER_VERSION, Way.ONE_SLOT)
    return "test" if wanted.test else "permanent" if wanted.confirm and takes_marks else None


def _check(
    image: PackageImage, state: DeviceState, wanted: Wanted, watch: Callable[[ImageEvent], None]
) -> Sequence[Finding]:
    """Say what was found; refuse what no bootloader takes, what would not boot, or boots without being asked to."""
    found = image_findings(with_its_role(image), state)
    errors = _against(found, image, wanted)
    if errors and not wanted.force:
        raise refusal(errors)
    show_findings(found, watch)
    return found


def show_findings(found: Sequence[Finding], watch: Callable[[ImageEvent], None]) -> None:
    """Say what was found. Of the notes only those on seals: a seal that b0n refuses may block the slot for good."""
    for finding in found:
        warning = finding.severity is not Severity.NOTE
        if warning or finding.code in SEALS:
            watch(ImageNote(finding.words, warning=warning, finding=finding))


def _against(found: Sequence[Finding], image: PackageImage, wanted: Wanted) -> list[Finding]:
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if is_mcuboot(image):  # a mark, which another call may set, has no way back
        return errors
    if not wanted.boots:
        return [finding for finding in errors if finding.code in _HARMS_AT_ONCE | DAMAGED]
    if wanted.test:
        return [finding for finding in errors if finding.code not in _MAY_BE_MET]
    return errors


async def _send(
    client: Client,
    image: PackageImage,
    job: Job,
    watch: Callable[[ImageEvent], None],
    recheck: Callable[[], Awaitable[None]],
) -> UploadResult:
    watch(ImageStage.REPLACING if job.replaces else ImageStage.SENDING)
    result = await client.upload(image.data, job.number, progress=watch, compare=not job.replaces, recheck=recheck)
    watch(ImageStage.SENT)
    if not (result.match or result.listed or job.replaces):
        text = (
            "the device accepted every byte, but it neither compares them nor lists the image: nothing proves what it "
            "holds"
        )
        watch(ImageNote(text, warning=True))
    return result


async def _after(
    same: SameDevice, done: InstalledImage, job: Job, request: ImageRequest, watch: Callable[[ImageEvent], None]
) -> InstalledImage:
    """Mark it, and with ``Wanted.confirm`` bring it to run permanently."""
    image = done.image
    if image.hash is None:
        raise PlanError(f"{image.file} has no hash, by which it could be marked")
    if request.wanted.test:
        return replace(done, state=await mark(same.client, done.state, image.hash))
    watch(ImageStage.STEPS)
    ran = await bring_to_run(StepRunner(same.client, request.deadlines, same=same.check), image, done.state, job)
    done = replace(done, state=ran.state)
    if image.core is Core.NET:
        proof = ran.state.proof or net_taken(image, ran.state)
        return replace(done, proof=proof, proven=proof.value is True)
    if job.image == 0:
        return replace(done, running=True, proven=True, reverts=ran.reverts)
    return replace(done, proven=False)
