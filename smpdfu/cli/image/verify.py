"""``verify``: has an image judged, and puts the verdict into words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from smpdfu.cli.app.advice_by_code import verdict_words
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.image.key_files import read_decryption_key, read_verifier
from smpdfu.cli.image.options import SlotOptions
from smpdfu.cli.image.verify_options import Checks, LoaderOptions, Memory
from smpdfu.cli.inspect.contents import ADVICE
from smpdfu.cli.inspect.seal import seal_entry, seal_words
from smpdfu.cli.terminal.show import Output, facts, stacked, table
from smpdfu.errors import FormatError, ImageError
from smpdfu.image.files import FileKind, identify, read_bounded
from smpdfu.image.image_file import read_image
from smpdfu.image.load_address import slot_range, with_load_address
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.nrf5340 import APP, NET
from smpdfu.image.nsib.trusted_keys import Nsib
from smpdfu.image.signers import shown_key
from smpdfu.image.signing.release import image_warnings
from smpdfu.image.verification.rollback import with_rollback
from smpdfu.image.verification.seal_check import with_seal
from smpdfu.image.verification.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from smpdfu.cli.image.evidence_checks import EvidenceChecks
    from smpdfu.cli.image.options import Release, VerifyKeys
    from smpdfu.cli.image.trust_options import NsibOptions
    from smpdfu.image.format import Image
    from smpdfu.image.verification.seal_check import ImageSeal
    from smpdfu.image.verification.verify import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """An image, the keys, and the verdict."""

    file: Path
    image: Image
    keys: tuple[str, ...]
    enc_key: Path | None
    slot_size: int | None
    verdict: Verdict
    seal: ImageSeal | None = None

    def refusal(self, *, require_all: bool = False) -> ImageError | None:
        """The verdict as an error; None if nothing speaks against the image and, where asked for, all was checked."""
        refusals = self.verdict.refusals
        if not refusals:
            return self._incomplete() if require_all else None
        more = f" (and {len(refusals) - 1} more, above)" if len(refusals) > 1 else ""
        where = "" if refusals[0].offset is None else f" [byte 0x{refusals[0].offset:x}]"
        return ImageError(f"{self.file} would be refused: {verdict_words(refusals[0])}{where}{more}")

    def _incomplete(self) -> ImageError | None:
        if self.verdict.unchecked:
            return ImageError(f"{self.file} was not fully checked: {self.verdict.unchecked[0].message} (--enc-key)")
        if not self.verdict.signature_checked:
            return ImageError(f"{self.file} was not fully checked: no key was given for its signature (-k)")
        return None

    def summary(self) -> dict[str, Any]:
        """The verdict for scripts."""
        verdict, image = self.verdict, self.image
        return {
            "file": self.file,
            "verdict": self._word(),
            "accepted": verdict.accepted,
            "version": image.header.version,
            "size_bytes": image.size_bytes,
            "hash": image.hash,
            "encrypted": image.encrypted,
            "signature_checked": verdict.signature_checked,
            "key": None if verdict.key_index is None else shown_key(self.keys[verdict.key_index]),
            "seal": None if self.seal is None else seal_entry(self.seal),
            "refusals": _entries(verdict.refusals),
            "unchecked": _entries(verdict.unchecked),
            "warnings": _entries(verdict.warnings),
        }

    def _word(self) -> str:
        if self.verdict.refusals:
            return "refused"
        return "accepted" if self.verdict.signature_checked and not self.verdict.unchecked else "not checked"

    def told(self) -> RenderableType:
        """The verdict for people."""
        image, refusals = self.image, self.verdict.refusals
        pairs = [
            ("verdict", "refused" if refusals else self._accepted()),
            *((("reason", refusals[0].code),) if refusals else ()),  # the error has its sentence
            ("version", image.header.version),
            ("hash", image.hash),
            ("signature", self._signature()),
            *((("seal", seal_words(self.seal)),) if self.seal is not None else ()),
            ("encryption", self._encryption()),
        ]
        parts: list[RenderableType] = [facts(pairs)]
        for title, findings in (("why", refusals[1:]), ("not checked", self.verdict.unchecked)):
            rows = [
                (one.code, "" if one.offset is None else f"0x{one.offset:x}", verdict_words(one)) for one in findings
            ]
            parts += [table("", (title, "byte", "what"), rows)] if rows else []
        return stacked(*parts)

    def _accepted(self) -> str:
        if self.verdict.unchecked:
            return "not fully checked: smpdfu found no fault, but the payload is encrypted (--enc-key)"
        if not self.verdict.signature_checked:
            return "undamaged; a bootloader also checks the signature (-k)"
        return "accepted" if self.slot_size is None else f"accepted, and it fits a slot of {self.slot_size} bytes"

    def _signature(self) -> str:
        over = ", over the hash in the image" if self.verdict.plain is None else ""
        if self.verdict.key_index is not None:
            return f"valid, by {shown_key(self.keys[self.verdict.key_index])}{over}"
        if any(one.code == "signature" for one in self.verdict.unchecked):
            return "cannot be checked without decryption (--enc-key)"
        return "invalid" if self.verdict.signature_checked else "not checked: no key was given"

    def _encryption(self) -> str:
        if not self.image.encrypted:
            return "none"
        if self.verdict.plain is None:
            return "not decrypted"
        return "the payload is not encrypted" if self.verdict.plain is self.image else f"decrypted with {self.enc_key}"


def verify_image(
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
    """Judge an image, or a package by its documents, and show the verdict."""
    if evidence.wanted:
        _refuse_options_of_images(who, slot, memory, checks, build, nsib)
        from smpdfu.cli.image.verify_package import verify_package  # here: 60 ms that images do not need

        verify_package(file, who, evidence, guard, out)
        return
    case = judge(file, who, slot, memory, checks, build, nsib)
    for text in _not_applied(case, nsib):
        out.warn(text)
    for sentence in image_warnings(case.image, release=guard.release):
        out.warn(sentence)
    for warning in case.verdict.warnings:
        out.warn(verdict_words(warning))
    conclude(out, case.summary(), case.told, case.refusal(require_all=build.require_all_checks))


def _not_applied(case: Case, nsib: NsibOptions) -> Iterator[str]:
    """Options of NSIB that say nothing of this image."""
    loader = None if case.seal is None else case.seal.loader
    if case.image.encrypted:
        return
    if nsib.net_key and loader is not Nsib.B0N:
        yield "--net-key does not apply: this is not an image for the network core"
    if nsib.b0_key and loader is not Nsib.B0:
        yield "--b0-key does not apply: this is not MCUboot's own image"


def _refuse_options_of_images(
    who: VerifyKeys, slot: SlotOptions, memory: Memory, checks: Checks, build: LoaderOptions, nsib: NsibOptions
) -> None:
    asked = slot != SlotOptions() or memory != Memory() or checks != Checks() or build != LoaderOptions()
    if asked or who.enc_key is not None or nsib.net_key or nsib.b0_key:
        raise typer.BadParameter(
            "--provenance and --sbom are for packages. The options about slots, the bootloader and decryption are for "
            "a single image"
        )


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
    passphrase = who.source()
    keys = tuple(who.key or ())
    if checks.check_load_address and (slot.slot_address is None or slot.slot_size is None):
        raise typer.BadParameter("--check-load-address needs --slot-address and --slot-size")
    if build.no_encryption and who.enc_key is not None:
        raise typer.BadParameter("--no-encryption and --enc-key exclude each other")
    trusted = [read_verifier(path, passphrase) for path in keys]
    secret = None if who.enc_key is None else read_decryption_key(who.enc_key, passphrase)
    known = nsib.keys()
    image = _image(file)
    address = slot.slot_address
    built = _build(build)
    verdict = verify(image, trusted, enc_key=secret, slot=geometry, slot_address=address, build=built)
    verdict = with_rollback(verdict, image, memory.current_version, memory.current_counter)
    verdict = _with_load_address(verdict, image, slot, checks)
    verdict, seal = with_seal(verdict, image, known)
    return Case(file, image, keys, who.enc_key, slot.slot_size, verdict, seal)


def _entries(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [{"code": one.code, "offset": one.offset, "message": verdict_words(one)} for one in findings]


def _build(options: LoaderOptions) -> LoaderBuild:
    return LoaderBuild(
        hw_key=options.hw_key,
        encryption=False if options.no_encryption else None,
        hmac_sha=cast("Any", options.hmac_sha),
        backend=cast("Any", options.backend),
        image_pairs=options.image_pairs,
    )


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
