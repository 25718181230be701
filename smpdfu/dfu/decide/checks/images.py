"""The checks of one image against one device; see ``preflight``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.checks.seals import is_sealed
from smpdfu.dfu.decide.device_state import PRIMARY, SECONDARY, DeviceState, Scheme, version_of
from smpdfu.dfu.decide.steps.rules import REPLACES, RUNS_IN_BOTH_SLOTS, Method, image_number, method_of
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.image.format import SIGNATURE_TYPES, counted
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signing.build import encrypted_key_size
from smpdfu.image.trailer import MAX_ALIGNS, SlotGeometry, SwapMode, has_magic, max_image_size_bytes
from smpdfu.image.verification.verdict import DEPENDS_ON_THE_BUILD
from smpdfu.image.verification.verify import Code, verify

# What fills a file up to a write unit has less bytes than the largest unit there is.
_MOST_FILLER = max(MAX_ALIGNS) - 1

Findings = Iterator[Finding]
ImageCheck = Callable[[PackageImage, DeviceState], Findings]


def _is_valid(image: PackageImage, state: DeviceState) -> Findings:
    """What the bootloader would find, too, as far as it can be judged without its keys."""
    both = state.scheme is Scheme.SIMULTANEOUS  # a staged build may have several pairs, too: no answer tells
    verdict = verify(image.image, build=LoaderBuild(image_pairs=2 if both else None))
    # What is encrypted cannot be judged here; what is flagged so and is plain, the bootloader would decrypt.
    wrong = [one for one in verdict.refusals if one.code != Code.ENCRYPTED]
    wrong += [one for one in verdict.warnings if one.code == Code.CLEAR]
    for one in wrong:
        yield Finding(one.code, Severity.ERROR, f"{image.file}: {one.message}", core=image.core)
    for one in verdict.warnings:
        if one.code in DEPENDS_ON_THE_BUILD:
            yield Finding(one.code, Severity.WARNING, f"{image.file}: {one.message}", core=image.core)


def _is_signed(image: PackageImage, _: DeviceState) -> Findings:
    if not any(tlv.type in SIGNATURE_TYPES for tlv in image.image.unprotected):
        text = f"{image.file} is not signed; a bootloader that checks signatures does not accept it"
        yield Finding("not-signed", Severity.WARNING, text, "Sign it.", image.core)


def _is_of_its_core(image: PackageImage, _: DeviceState) -> Findings:
    if image.vector_core not in (None, image.core):
        text = f"{image.file} is meant for the {image.core.words} and linked for the {image.vector_core.words}"
        yield Finding("wrong-core", Severity.ERROR, text, "Check which file went into the package.", image.core)


def _is_linked_for_its_slot(image: PackageImage, _: DeviceState) -> Findings:
    if image.vector_core in (None, image.core) and (warning := image.link_warning):
        text = f"{image.file}: {warning}; the device would not start with it, or its bootloader erases it"
        yield Finding("linked-elsewhere", Severity.ERROR, text, "Build it for the slot's address.", image.core)


def _image_may_be_encrypted(image: PackageImage, state: DeviceState) -> Findings:
    if image.image.encrypted and (image.core is Core.APP or state.scheme is Scheme.SIMULTANEOUS):
        text = f"{image.file} is encrypted; smpdfu cannot check in advance whether the device has the key"
        yield Finding("encrypted", Severity.NOTE, text, core=image.core)


def _is_not_padded(image: PackageImage, _: DeviceState) -> Findings:
    rest = image.data[image.image.size_bytes :]
    facts = dict[str, str]()
    if has_magic(rest):
        what = "a slot with its trailer, which marks itself when written"
        text = f"{image.file} has {len(rest)} bytes behind the image: {what}"
        advice = "Upload the image signed without padding and without a mark for the next boot."
        facts = {"trailer": "signed"}
    elif len(rest) > _MOST_FILLER:
        text = f"{image.file} has {len(rest)} bytes behind the image that do not belong to it"
        advice = "Upload the image as it was signed, without anything behind it."
    else:  # nothing, or what fills a file up to the write unit of a flash
        return
    yield Finding("padded", Severity.ERROR, text, advice, image.core, facts)


def largest_image_bytes(state: DeviceState, image: int = 0, key_size: int = 0) -> int | None:
    """The largest image that fits the slots of image ``image`` in the bootloader's mode; None if no sizes are told.

    Where it stays in the slot that it is sent to, only that one counts. ``key_size``: what the bootloader keeps in the
    trailer for an encrypted image.
    """
    stays = method_of(state) in RUNS_IN_BOTH_SLOTS | {Method.RAM_LOAD}
    slots = (1 - state.place(image),) if stays else (PRIMARY, SECONDARY)
    sizes = [size for slot in slots if (size := state.size_bytes(slot, image)) is not None]
    told = state.max_image_size_bytes(image)
    limits = [] if told is None else [told]
    if sizes:
        mode = state.trailer_mode
        limits.append(min(sizes) if mode is None else _limit_of(min(sizes), mode, key_size))
    return min(limits, default=None)


def _limit_of(slot_bytes: int, mode: SwapMode, key_size: int) -> int:
    try:
        return max_image_size_bytes(SlotGeometry(slot_bytes, mode=mode, encrypted_key_size=key_size))
    except ValueError:  # smaller than its trailer
        return 0


def _fits_the_slot(image: PackageImage, state: DeviceState) -> Findings:
    if image.core is Core.NET and method_of(state) in REPLACES:
        return  # it goes through no slot that the device tells of
    limit = largest_image_bytes(state, image_number(image, state.scheme), encrypted_key_size(image.image))
    if limit is not None and image.image.size_bytes > limit:
        text = f"{image.file} has {image.image.size_bytes} bytes; the device's slot takes {limit}"
        yield Finding("too-large", Severity.ERROR, text, "Make the firmware smaller.", image.core)


def _is_not_older(image: PackageImage, state: DeviceState) -> Findings:
    running = None if state.running is None else version_of(state.running)
    version = image.image.header.version
    if image.core is not Core.APP or image.role is Role.MCUBOOT or running is None or version >= running:
        return
    text = f"{image.file} is version {version} and the device runs {running}"
    if state.no_downgrade and counted(version) < counted(running):
        text += ", and its bootloader erases older images"
        yield Finding("downgrade", Severity.ERROR, text, "Sign it with a higher version.", image.core)
    else:
        yield Finding("downgrade", Severity.WARNING, text, core=image.core)


def _is_for_this_board(image: PackageImage, state: DeviceState) -> Findings:
    wanted, found = str(image.entry.get("board", "")), state.board or ""
    if image.core is Core.APP and wanted and found and not _same_board(wanted, found):
        text = f"{image.file} is for the board {wanted}, and the device says that it is {found}"
        yield Finding("wrong-board", Severity.ERROR, text, "Check that this is the right device.", image.core)


def _same_board(one: str, other: str) -> bool:
    # Zephyr wrote nrf5340dk_nrf5340_cpuapp until 3.6; a device may tell the board without its qualifiers.
    a, b = (text.lower().replace("/", "_").replace("@", "_") for text in (one, other))
    return a.startswith(b) or b.startswith(a)


IMAGE_CHECKS: tuple[ImageCheck, ...] = (
    _is_valid,
    _is_signed,
    _is_of_its_core,
    _is_linked_for_its_slot,
    is_sealed,
    _image_may_be_encrypted,
    _is_not_padded,
    _fits_the_slot,
    _is_not_older,
    _is_for_this_board,
)
