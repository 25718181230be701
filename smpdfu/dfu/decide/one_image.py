"""What ``upload`` does with one image on one device: decided before the first byte, from what the device says. Pure.

How an image comes to run depends on the bootloader:

    bootloader                        with --test     with --confirm
    --------------------------------  --------------  -----------------------------------------------------------------
    swaps; XIP with revert; a device  a test          TRIAL: a test, reset, check, confirm. Where the device does not
    that does not tell                                tell, it is learned: an image that runs confirmed was overwritten.
                                                      With XIP only a higher version boots
    overwrites; an image pair for     a test, which   PERMANENT: marked at once, reset, check
    each core                         is permanent
    loads into RAM; XIP; takes no     refused         HIGHER_VERSION: reset, check; it boots the higher version
    marks
    firmware loader that runs         refused         ONE_SLOT: the upload replaces the application; reset, check
    one slot, or the application      refused         refused: the running application cannot be replaced
    beside a firmware loader

Which core an image is for is known by its reset vector, its manifest or its fixed address. Sources: MCUboot,
docs/design.md; Zephyr, img_mgmt; nRF Connect SDK, loaders of the nRF5340.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from smpdfu.dfu.decide.device_state import PRIMARY, SECONDARY, DeviceState, Scheme, version_of
from smpdfu.dfu.decide.steps.rules import COMPANIONS
from smpdfu.dfu.package.images import Core, PackageImage, Role, core_of_address
from smpdfu.errors import PlanError
from smpdfu.image.format import Flag, counted
from smpdfu.image.verification.verdict import Code
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode


class Way(StrEnum):
    """How the image comes to run; see the table above. UPLOAD: not by this call."""

    UPLOAD = "upload"
    TEST = "test"
    TRIAL = "trial"
    PERMANENT = "permanent"
    HIGHER_VERSION = "higher-version"
    ONE_SLOT = "one-slot"


class Left(StrEnum):
    """What there is to do. STARTED: an earlier call sent it. NOTHING: it runs, or waits as it is wanted."""

    ALL = "all"
    STARTED = "started"
    NOTHING = "nothing"


WHICH_IMAGE = "which-image"
"""The code of an error where the image number is missing or wrong; the fact ``numbers`` names those that can be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for. ``image`` and ``slot`` are None where the device and the image decide."""

    image: int | None = None
    slot: int | None = None
    test: bool = False
    confirm: bool = False
    force: bool = False

    @property
    def boots(self) -> bool:
        """True if the image is to run."""
        return self.test or self.confirm


@dataclass(frozen=True, slots=True)
class Job:
    """What will be done: ``image`` is its image pair, ``number`` what the device wants to be told for its slot.

    ``slot`` is where it is expected; ``read_back`` tells where it is. ``reverts``: whether the bootloader brings the
    previous image back, None if that is not known. ``replaces``: it is written over the application.
    """

    way: Way
    image: int
    slot: int
    number: int
    left: Left = Left.ALL
    reverts: bool | None = None
    replaces: bool = False


ONE_SLOT_MODES = {
    BootloaderMode.SINGLE_APP: "has one slot only",
    BootloaderMode.SINGLE_APP_RAM_LOAD: "has one slot only",
    BootloaderMode.FIRMWARE_LOADER: "leaves updates to a firmware loader and has one slot for the application",
}
NO_MARK_MODES = {
    BootloaderMode.RAM_LOAD: "loads images into RAM",
    BootloaderMode.DIRECT_XIP: "runs images in the slot where they are (direct XIP)",
}
REVERTING_MODES = (BootloaderMode.DIRECT_XIP_WITH_REVERT,)
NO_MARKS = "takes no marks for the next boot"
"""Of a device that does not tell its mode and answered so."""

DAMAGED = frozenset({Code.HASH, Code.NO_HASH, Code.SIGNATURE, Code.ENCRYPTED_HEADER, Code.DECOMPRESSION, Code.TLV_SIZE})
"""What no bootloader takes: a file that is not sent without ``force``, whatever shall become of it."""


def make_job(image: PackageImage, state: DeviceState, wanted: Wanted, *, takes_marks: bool | None = None) -> Job:
    """What will be done. ``takes_marks``: what a device that does not tell its mode answered, None if not asked.

    Raises PlanError, before anything is written, where the image would come to the wrong core, never run, or where
    another image would boot instead of it.
    """
    pair = pair_of(image, state, wanted)
    way = _way(state, wanted, pair, takes_marks)
    slot = _slot(state, wanted, pair, way)
    left = _left(image, state, wanted, pair, way)
    if left is Left.NOTHING:
        return Job(way, pair, slot, pair, left, state.can_revert)
    if image.role is Role.EXTERNAL and wanted.confirm and not wanted.force:
        raise PlanError(
            f"{image.file} is the half of an application in external flash, and a device does not start with one half "
            "of a new version: nothing was written. Install a package with both halves"
        ).because("half-alone")
    if state.mode in ONE_SLOT_MODES and not state.in_loader:
        raise _while_it_runs(image, state)
    if way is Way.HIGHER_VERSION:
        _is_higher(image, state, why_no_marks(state))
    elif way is not Way.UPLOAD and left is Left.ALL and state.mode in REVERTING_MODES:
        # A mark does not make up for a lower version.
        _is_higher(image, state, NO_MARK_MODES[BootloaderMode.DIRECT_XIP])
    number = upload_number(state, pair, wanted.slot, slot)
    replaces = state.mode in ONE_SLOT_MODES
    return Job(way, pair, slot, number, left, state.can_revert, replaces)


# --- which image pair -----------------------------------------------------------------------------------------------


def of_pair(image: PackageImage, job: Job, state: DeviceState) -> PackageImage:
    """The image as one of the core whose pair it goes to: an encrypted one does not show its core, the pair does."""
    unknown = known_core(image) is None and image.role not in COMPANIONS
    if state.scheme is Scheme.SIMULTANEOUS and job.image in (0, 1) and unknown:
        return replace(image, role=Role.NET if job.image else Role.APP)
    return image


def known_core(image: PackageImage) -> Core | None:
    """The core that an image is surely for; None where neither code, manifest nor header tells."""
    header = image.image.header
    fixed = core_of_address(header.load_addr) if header.flags & Flag.ROM_FIXED else None
    return image.vector_core or (image.core if image.entry else None) or fixed


def pair_of(image: PackageImage, state: DeviceState, wanted: Wanted) -> int:
    """The image pair that ``image`` goes to: the one asked for, else that of its core.

    Raises PlanError where it would come to the other core, or where it cannot be known which one it is for.
    """
    core = known_core(image)
    told = state.told_scheme
    if told is Scheme.SIMULTANEOUS:
        return _one_of_two_pairs(image, core, wanted)
    if told is None and core is Core.NET and wanted.image is None:
        raise PlanError(
            f"{image.file} is for the network core, and the device does not tell whether that has an image pair of its "
            "own: nothing was written. Choose image 1 if it has (builds for both cores at once), else image 0"
        ).because(WHICH_IMAGE, numbers="1 0")
    return wanted.image or 0


def _one_of_two_pairs(image: PackageImage, core: Core | None, wanted: Wanted) -> int:
    right = None if core is None else int(core is Core.NET)
    if right is None:
        if wanted.image is None and not wanted.force:
            raise PlanError(
                f"{image.file} does not show for which core it is (encrypted code, or linked for neither), and the "
                "device has an image pair for each: nothing was written. Choose image 0 for the application, image 1 "
                "for the network core"
            ).because(WHICH_IMAGE, numbers="0 1")
        return wanted.image or 0
    if wanted.image not in (None, right) and wanted.image in (0, 1):
        assert core is not None
        raise PlanError(
            f"{image.file} is for the {core.words}, and image {wanted.image} of this device is the other core's: "
            f"nothing was written. Send it to image {right}"
        ).because(WHICH_IMAGE, numbers=str(right))
    return right if wanted.image is None else wanted.image


# --- which way ------------------------------------------------------------------------------------------------------


def _way(state: DeviceState, wanted: Wanted, pair: int, takes_marks: bool | None) -> Way:
    if not wanted.boots:
        return Way.UPLOAD
    if state.mode in ONE_SLOT_MODES:
        if wanted.test:
            raise _no_test(ONE_SLOT_MODES[state.mode], "replaces the application")
        return Way.ONE_SLOT
    if state.mode in NO_MARK_MODES or (state.swap_mode is None and takes_marks is False):
        if wanted.test:
            raise _no_test(why_no_marks(state), "starts the higher version")
        return Way.HIGHER_VERSION
    if wanted.test:
        return Way.TEST
    tries = state.can_revert is not False and state.scheme is Scheme.STAGED and pair == 0 and wanted.slot != PRIMARY
    return Way.TRIAL if tries else Way.PERMANENT


def _while_it_runs(image: PackageImage, state: DeviceState) -> PlanError:
    by_loader = state.mode is BootloaderMode.FIRMWARE_LOADER
    who = "its firmware loader" if by_loader else "MCUboot's serial recovery"
    return PlanError(
        f"the device has one slot, from which the application runs, and {who} replaces it: nothing was written. "
        f"Install {image.file} in a package, or start {who} first, and then upload it there"
    ).because("start-loader" if by_loader else "start-recovery")


def _no_test(why: str, what: str) -> PlanError:
    text = f"the bootloader {why} and cannot try an image: nothing was written. An installation without a test {what}"
    return PlanError(text).because("no-test")


def why_no_marks(state: DeviceState) -> str:
    """Why the bootloader takes no marks for the next boot, for people."""
    return NO_MARKS if state.mode is None else NO_MARK_MODES.get(state.mode, NO_MARKS)


def _is_higher(image: PackageImage, state: DeviceState, why: str) -> None:
    there = None if state.running is None else version_of(state.running)
    version = image.image.header.version
    if there is None or counted(version) > counted(there):
        return
    raise PlanError(
        f"the bootloader {why} and starts the highest version. {there} runs, so {image.file}, version {version}, would "
        "not start: nothing was written. Sign it with a higher version"
    )


# --- which slot -----------------------------------------------------------------------------------------------------


def _slot(state: DeviceState, wanted: Wanted, pair: int, way: Way) -> int:
    if wanted.slot is not None:
        return wanted.slot
    one_slot = way is Way.ONE_SLOT or (way is Way.UPLOAD and state.mode in ONE_SLOT_MODES)
    runs_from_other = pair == 0 and state.running is not None and state.running.slot == SECONDARY
    return PRIMARY if one_slot or runs_from_other else SECONDARY


def upload_number(state: DeviceState, pair: int, asked: int | None, slot: int | None = None) -> int:
    """The image number that the device wants for an upload into ``asked``, a slot of image ``pair``.

    ``asked`` None: the one where uploads go, expected in ``slot``. Raises PlanError where it has no such slot, or runs
    from it.
    """
    slots = {(info.image, one.slot): one for info in state.sizes for one in info.slots}
    expected = SECONDARY if slot is None else slot
    place = expected if asked is None else asked
    chosen = slots.get((pair, place))
    if slots and chosen is None:
        raise PlanError(f"{_missing(slots, pair, place)}; nothing was written")
    if asked is None:
        return pair
    if chosen is not None and chosen.upload_image_id is not None:
        return chosen.upload_image_id
    runs_from = state.running.slot if pair == 0 and state.running is not None else PRIMARY
    if asked == runs_from:
        raise PlanError(f"the device does not take uploads into slot {asked}, which it runs from; nothing was written")
    return pair


def _missing(slots: Mapping[tuple[int, int], object], pair: int, place: int) -> str:
    """Why there is no such slot: the image is not there, or it is and has others."""
    images = sorted({image for image, _ in slots})
    if pair not in images:
        there = f"image {images[0]} only" if len(images) == 1 else f"images {', '.join(map(str, images))}"
        return f"the device has no image {pair}; it has {there}"
    there = ", ".join(str(slot) for image, slot in sorted(slots) if image == pair)
    return f"image {pair} of the device has no slot {place}, only {there}"


def read_back(image: PackageImage, state: DeviceState, job: Job) -> int:
    """The slot that holds the image, by the list; where that does not tell, the one that was expected."""
    here = [slot for slot in state.slots if slot.image == job.image and slot.hash == image.hash is not None]
    found = next((slot.slot for slot in here if not slot.active), None)
    if found is not None:
        return found
    return here[0].slot if here and job.way not in (Way.UPLOAD, Way.TEST) else job.slot


# --- what is left ---------------------------------------------------------------------------------------------------


def _left(image: PackageImage, state: DeviceState, wanted: Wanted, pair: int, way: Way) -> Left:
    if not wanted.boots:
        return Left.ALL
    running = state.running if pair == 0 else None
    runs = running is not None and running.hash == image.hash is not None and (wanted.test or not state.on_trial)
    replaced = way is Way.HIGHER_VERSION and not runs  # such a device takes an upload over what waits
    if (runs or not (wanted.force or replaced)) and (other := _boots_instead(image, state, pair)) is not None:
        raise PlanError(_waits(other), codes=("pending",))
    if runs:
        return Left.NOTHING
    here = [slot for slot in state.slots if slot.image == pair and slot.hash == image.hash is not None]
    if way is Way.TEST:
        waits = any(slot.waits and not slot.permanent for slot in here)
        return Left.NOTHING if waits else Left.ALL
    tries = way is Way.TRIAL
    started = any(slot.permanent or (tries and (slot.pending or slot.active)) for slot in here)
    return Left.STARTED if started else Left.ALL


def _boots_instead(image: PackageImage, state: DeviceState, pair: int) -> ImageSlot | None:
    """Another image of the same pair that waits for the next boot."""
    waiting = (slot for slot in state.slots if slot.image == pair and slot.waits)
    return next((slot for slot in waiting if slot.hash != image.hash), None)


def _waits(other: ImageSlot) -> str:
    return (
        f"the image {other.version} waits in slot {other.slot} for the next boot and would boot instead: nothing was "
        "written. Restart the device to let it boot, or erase it where the firmware allows that"
    )


def fallback_during_trial(chosen: ImageSlot, slots: tuple[ImageSlot, ...]) -> bool:
    """Is ``chosen`` what the next reset brings back, because another image of its pair runs on trial?"""
    running = next((slot for slot in slots if slot.image == chosen.image and slot.active), None)
    on_trial = running is not None and not running.confirmed and running.hash != chosen.hash
    return on_trial and chosen.confirmed and not chosen.waits


def why_no_test(image: PackageImage, state: DeviceState, job: Job) -> str:
    """Why a mark for a test cannot be taken back by a reset; "" where it can, or where that is not known."""
    if state.can_revert is False:
        return "the bootloader overwrites"
    if known_core(image) is Core.NET or job.image:
        return "the network core cannot be rolled back"
    return ""
