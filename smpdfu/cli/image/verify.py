"""``verify``: has an image, or the images of a package, judged, and shows the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.cli.app.advice_by_code import verdict_words
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.image.options import SlotOptions
from smpdfu.cli.image.verify_case import Case, Trust
from smpdfu.cli.image.verify_options import Checks, Memory
from smpdfu.cli.inspect.contents import ADVICE
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.errors import FormatError
from smpdfu.image.files import FileKind, identify, read_bounded
from smpdfu.image.image_file import read_image
from smpdfu.image.load_address import slot_range, with_load_address
from smpdfu.image.nrf5340 import APP, NET
from smpdfu.image.nsib.trusted_keys import Nsib
from smpdfu.image.signing.release import image_warnings
from smpdfu.image.verification.rollback import with_rollback
from smpdfu.image.verification.seal_check import seal_key_warnings, with_seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smpdfu.cli.image.evidence_checks import EvidenceChecks
    from smpdfu.cli.image.options import Release, VerifyKeys
    from smpdfu.cli.image.trust_options import NsibOptions
    from smpdfu.cli.image.verify_options import LoaderOptions
    from smpdfu.image.format import Image
    from smpdfu.image.verification.verify import Verdict

_PACKAGES = (FileKind.DFU_APPLICATION_ZIP, FileKind.DFU_MULTI_IMAGE)


def verify_file(
    file: Path,
    who: VerifyKeys,
    slot: SlotOptions,
    memory: Memory,
    checks: Checks,
    build: LoaderOptions,
    nsib: NsibOptions,
    evidence: EvidenceChecks,
    guard: Release,
    out: Output,
) -> None:
    """Judge an image, or a package with its documents, and show the verdict."""
    if evidence.wanted or _is_package(file):
        if slot != SlotOptions() or memory != Memory() or checks != Checks():
            raise typer.BadParameter(
                "the options about a slot and about what the bootloader remembers are for a single image, not for a "
                "package"
            )
        from smpdfu.cli.image.verify_package import verify_package  # here: 60 ms that images do not need

        verify_package(file, who, build, nsib, evidence, guard, out)
        return
    case = judge(file, who, slot, memory, checks, build, nsib)
    for text in _not_applied(case, nsib):
        out.warn(text)
    for sentence in image_warnings(case.image, release=guard.release):
        out.warn(sentence)
    for sentence in seal_key_warnings(case.seal, release=guard.release):
        out.warn(sentence)
    for warning in case.verdict.warnings:
        out.warn(verdict_words(warning))
    conclude(out, case.summary(), case.told, case.refusal(require_all=build.require_all_checks))


def _is_package(file: Path) -> bool:
    """True for a file with several images; a pipe, which can be read once, is an image."""
    return file.is_file() and identify(read_bounded(file)) in _PACKAGES


def _not_applied(case: Case, nsib: NsibOptions) -> Iterator[str]:
    """Options of NSIB that say nothing of this image."""
    loader = None if case.seal is None else case.seal.loader
    if case.image.encrypted:
        return
    if nsib.net_key and loader is not Nsib.B0N:
        yield "--net-key does not apply: this is not an image for the network core"
    if nsib.b0_key and loader is not Nsib.B0:
        yield "--b0-key does not apply: this is not MCUboot's own image"


def judge(
    file: Path,
    who: VerifyKeys,
    slot: SlotOptions,
    memory: Memory,
    checks: Checks,
    build: LoaderOptions,
    nsib: NsibOptions,
) -> Case:
    """Read an image and its keys and judge it. Raises ImageError, SigningError, OSError for what cannot be read."""
    geometry = slot.geometry()
    if checks.check_load_address and (slot.slot_address is None or slot.slot_size is None):
        raise typer.BadParameter("--check-load-address needs --slot-address and --slot-size")
    trust = Trust.read(who, build, nsib, who.source())
    image = _image(file)
    verdict = trust.judge(image, geometry, slot.slot_address)
    verdict = with_rollback(verdict, image, memory.current_version, memory.current_counter)
    verdict = _with_load_address(verdict, image, slot, checks)
    verdict, seal = with_seal(verdict, image, trust.nsib)
    return Case(file, image, trust, verdict, seal, slot.slot_size)


def _with_load_address(verdict: Verdict, image: Image, slot: SlotOptions, checks: Checks) -> Verdict:
    """Without word of the check, a warning for the chip that may have it: the nRF5340."""
    address = slot.slot_address
    if address is None or not (checks.check_load_address or address in APP or address in NET):
        return verdict
    size = image.size_bytes if slot.slot_size is None else slot.slot_size
    return with_load_address(verdict, image.header, slot_range(address, size), checked=checks.check_load_address)


def _image(file: Path) -> Image:
    """The image in a file; the error for a file of another kind says what it is, and what to do with it."""
    try:
        return read_image(file)
    except FormatError as error:
        kind = identify(read_bounded(file))
        if error.offset or kind in (FileKind.MCUBOOT_IMAGE, FileKind.EMPTY):  # an image, but not a whole one
            raise
        raise FormatError(f"{error}; this is {_ARTICLES.get(kind, kind)}. {ADVICE[kind.name]}", error.offset) from None


# Where the bare name of a FileKind is no English after "this is".
_ARTICLES = {
    "intel hex": "Intel HEX",
    "unknown": "a file of an unknown kind",
    "pem": "a PEM file",
    "json": "a JSON file",
    "der key or certificate": "a key or certificate in DER",
    "ssh public key": "an SSH public key",
    "program for a pc": "a program for a PC",
    "compressed file": "a compressed file",
}
