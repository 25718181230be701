"""Would an application start where the bootloader puts it? "The upgrade completes and nothing boots" begins here.

The bootloader puts an application behind the SoftDevice of the device. If the first number of ``sd_req`` is 0, it puts
the application behind the MBR, and the SoftDevice is gone. Source: nRF5 SDK 17, ``nrf_dfu_validation.c``.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpdfu.image.inspect.identify import FileKind
from smpdfu.image.secure_dfu.flash import APP_DATA_SIZE, MBR_END, PAGE_SIZE, align_to_page
from smpdfu.image.secure_dfu.softdevices import softdevice_words
from smpdfu.securedfu.findings import Finding, Severity
from smpdfu.securedfu.making.contents import (
    holds_bootloader,
    holds_mbr,
    holds_settings,
    holds_softdevice,
    holds_uicr,
)
from smpdfu.securedfu.making.memory import LOWEST_SOFTDEVICE_END, softdevice_ends
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.making.parts import Nrf52Firmware

_IMAGE = "application"
_SILENT_FAILURE = "The update would complete, and nothing would start"


def application_findings(order: SecureDfuOrder) -> Iterator[Finding]:
    """What speaks against the application."""
    part = order.application
    if part is None:
        return
    if order.is_external:  # it is for another chip: nothing is known of it
        yield from _external(part)
        return
    others = tuple(_others(part, order))
    yield from others
    if any(one.severity is Severity.ERROR for one in others):
        return  # the first byte is not the application's: nothing below would be true
    if part.vectors is None or part.kind is FileKind.ERASED:
        yield _no_vectors(part)
        return
    place = tuple(_place(part, order))
    yield from place
    yield from _room(part, order)


def _external(part: Nrf52Firmware) -> Iterator[Finding]:
    if part.uicr:
        text = (
            f"{part.name} has bytes from 0x{part.uicr[0].address:x} on, which are not sent: in an nRF52, UICR is there"
        )
        yield _error("not-sent", text, "Give a .bin file: it is sent as it is")


def _others(part: Nrf52Firmware, order: SecureDfuOrder) -> Iterator[Finding]:
    """What the file holds besides the application."""
    if part.kind is FileKind.MCUBOOT_IMAGE:
        text = f"{part.name} is a signed image for MCUboot: the bootloader of the nRF5 SDK cannot start it"
        yield _error("mcuboot-image", text, "Give the firmware of an nRF5 SDK build")
        return
    if _linked_at_zero(part):
        text = f"{part.name} is linked for address 0, where the MBR is: it is a build without a bootloader"
        advice = f"Link the application for 0x{MBR_END:x}, or behind the SoftDevice"
        yield _error("linked-at-zero", text, advice)
        return
    yield from holds_mbr(part, _IMAGE)
    yield from holds_softdevice(part, _IMAGE)
    yield from holds_bootloader(part, order.bootloader_start, _IMAGE)
    yield from holds_settings(part, _IMAGE, order.chip)
    yield from holds_uicr(part, _IMAGE)


def _linked_at_zero(part: Nrf52Firmware) -> bool:
    """True for one program from address 0 on, without an MBR and a gap behind it."""
    first = part.flash[0] if part.flash else None
    if first is None:
        return part.start is None and part.vectors is not None and part.vectors.lowest < MBR_END
    return first.address == 0 and first.end > MBR_END and len(part.flash) == 1 and not part.softdevice


def _no_vectors(part: Nrf52Firmware) -> Finding:
    if part.kind is FileKind.ERASED:
        return _error("no-vectors", f"{part.name} is erased flash", "Give the application's hex or bin file")
    return _error(
        "no-vectors",
        f"{part.name} does not begin with a vector table, as an application does",
        "Give the application's hex or bin file, without a header and not encrypted",
    )


def _place(part: Nrf52Firmware, order: SecureDfuOrder) -> Iterator[Finding]:
    """Where it is linked, against where the bootloader puts it."""
    if part.start is not None and not part.fits(part.start):
        assert part.vectors is not None
        text = f"{part.name} begins at 0x{part.start:x}, and its vectors point elsewhere (0x{part.vectors.reset:x})"
        yield _error("vectors", text, "The build is no application for this layout: check its linker script")
        return
    if order.application_needs_softdevice:
        yield from _behind_softdevice(part, order)
    elif not _is_at(part, MBR_END):
        text = f"{part.name} {_linked(part, MBR_END)}, and sd_req 0x00 makes the bootloader put it at 0x{MBR_END:x}"
        severity = Severity.ERROR if part.surely_not_at(MBR_END) else Severity.WARNING
        advice = _needed_by(part.likely_start)
        yield Finding("softdevice-linked", severity, f"{text}. {_SILENT_FAILURE}", advice, _IMAGE)


def _needed_by(start: int | None) -> str:
    known = softdevice_ends().get(start or 0, ())
    which = f": one of {', '.join(map(softdevice_words, known))}" if known else ""
    return f"Name the SoftDevice that the application needs in sd_req{which}"


def _behind_softdevice(part: Nrf52Firmware, order: SecureDfuOrder) -> Iterator[Finding]:
    start, ends = part.likely_start, order.application_starts()
    vectors = part.vectors
    without = start == MBR_END or (start is None and vectors is not None and vectors.lowest < LOWEST_SOFTDEVICE_END)
    if without:
        text = f"{part.name} is linked for 0x{MBR_END:x}, without a SoftDevice, and sd_req names one: the bootloader "
        text += f"puts it behind the SoftDevice. {_SILENT_FAILURE}"
        yield _error("no-softdevice-linked", text, "Use sd_req 0x00, or link the application behind the SoftDevice")
        return
    wrong = {fwid: end for fwid, end in ends.items() if end is not None and not _is_at(part, end)}
    right = [fwid for fwid, end in ends.items() if end is not None and fwid not in wrong]
    for fwid, end in wrong.items():
        text = f"{part.name} {_linked(part, end)}, and behind SoftDevice {softdevice_words(fwid)} it would lie at "
        text += f"0x{end:x}"
        if right:
            advice = "Leave this SoftDevice out: on a device that has it, nothing would start"
            yield Finding("sd-req-differ", Severity.WARNING, text, advice, _IMAGE)
        elif None not in ends.values() and part.surely_not_at(end):
            yield _error("other-softdevice", f"{text}. {_SILENT_FAILURE}", _needed_by(start))
        else:
            yield Finding("other-softdevice", Severity.WARNING, f"{text}. {_SILENT_FAILURE}", _needed_by(start), _IMAGE)


def _is_at(part: Nrf52Firmware, end: int) -> bool:
    """False also where a bin file only looks as if it were linked for another address."""
    return not part.surely_not_at(end) and part.likely_start in (None, end)


def _linked(part: Nrf52Firmware, address: int) -> str:
    """Where it is linked, as surely as the file tells."""
    if part.likely_start is None:
        return "is linked for another address"
    verb = "is" if part.surely_not_at(address) else "looks as if it were"
    return f"{verb} linked for 0x{part.likely_start:x}"


def _room(part: Nrf52Firmware, order: SecureDfuOrder) -> Iterator[Finding]:
    """Does it fit below the bootloader, and does the old application survive until the new one is there?"""
    limit = order.bootloader_start or order.flash_end - 2 * PAGE_SIZE
    start = part.likely_start or MBR_END
    end = start + len(part.data)
    if end > limit:
        what = "the bootloader begins" if order.bootloader_start else "the bootloader's settings begin"
        text = f"{part.name} has {len(part.data)} bytes and would reach 0x{end:x}, and {what} at 0x{limit:x}"
        yield _error("too-large", text, "Make the application smaller")
    elif (
        order.bootloader_start is not None
        and align_to_page(end) + align_to_page(len(part.data)) > limit - APP_DATA_SIZE
    ):
        text = (
            f"{part.name} is too large for two banks: {_pages(len(part.data))} pages twice from 0x{start:x} on do not "
        )
        text += f"fit below 0x{limit - APP_DATA_SIZE:x}"
        advice = (
            "The bootloader erases the old application first: an update that stops leaves the device in its bootloader"
        )
        yield Finding("one-bank", Severity.WARNING, text, advice, _IMAGE)


def _pages(size: int) -> int:
    return align_to_page(size) // PAGE_SIZE


def _error(code: str, text: str, advice: str) -> Finding:
    return Finding(code, Severity.ERROR, text, advice, _IMAGE)
