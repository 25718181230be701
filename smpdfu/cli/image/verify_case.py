"""An image with the verdict on it: as a table, as JSON, and as the error that it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from smpdfu.cli.app.advice_by_code import verdict_words
from smpdfu.cli.image.key_files import read_decryption_key, read_verifier
from smpdfu.cli.inspect.seal import seal_entry, seal_words
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import facts, stacked, table
from smpdfu.errors import ImageError
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signers import shown_key
from smpdfu.image.verification.verify import verify

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.options import VerifyKeys
    from smpdfu.cli.image.trust_options import NsibOptions
    from smpdfu.cli.image.verify_options import LoaderOptions
    from smpdfu.cli.keys.passphrase import Passphrase
    from smpdfu.image.format import Image
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.nsib.trusted_keys import NsibKeys
    from smpdfu.image.signing.encrypt import DecryptionKey
    from smpdfu.image.trailer import SlotGeometry
    from smpdfu.image.verification.seal_check import ImageSeal
    from smpdfu.image.verification.verify import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Trust:
    """What the loaders of a device trust and decrypt with, and how MCUboot was built.

    ``names`` are those of ``keys`` as they were given, ``enc_key`` the file of ``secret``.
    """

    names: tuple[str, ...]
    keys: tuple[PublicKey, ...]
    enc_key: Path | None
    secret: DecryptionKey | None
    nsib: NsibKeys
    build: LoaderBuild

    @classmethod
    def read(cls, who: VerifyKeys, build: LoaderOptions, nsib: NsibOptions, passphrase: Passphrase) -> Trust:
        """Read the keys. Raises SigningError, FormatError or OSError; typer.BadParameter for options."""
        if build.no_encryption and who.enc_key is not None:
            raise typer.BadParameter("--no-encryption and --enc-key exclude each other")
        names = tuple(who.key or ())
        keys = tuple(read_verifier(name, passphrase) for name in names)
        secret = None if who.enc_key is None else read_decryption_key(who.enc_key, passphrase)
        return cls(names, keys, who.enc_key, secret, nsib.keys(), _build(build))

    def judge(self, image: Image, slot: SlotGeometry | None = None, slot_address: int | None = None) -> Verdict:
        """Judge an image as MCUboot does."""
        return verify(image, self.keys, enc_key=self.secret, slot=slot, slot_address=slot_address, build=self.build)


def _build(options: LoaderOptions) -> LoaderBuild:
    return LoaderBuild(
        hw_key=options.hw_key,
        encryption=False if options.no_encryption else None,
        hmac_sha=cast("Any", options.hmac_sha),
        backend=cast("Any", options.backend),
        image_pairs=options.image_pairs,
    )


@dataclass(frozen=True, slots=True)
class Case:
    """An image and the verdict on it. ``package`` is the file that has it among others, None: ``file`` is the image."""

    file: Path
    image: Image
    trust: Trust
    verdict: Verdict
    seal: ImageSeal | None = None
    slot_size: int | None = None
    package: Path | None = None

    @property
    def name(self) -> str:
        """The image in a sentence."""
        return str(self.file) if self.package is None else f"{self.file} in {self.package}"

    def refusal(self, *, require_all: bool = False) -> ImageError | None:
        """The verdict as an error; None if nothing speaks against the image and, where asked for, all was checked."""
        refusals = self.verdict.refusals
        if not refusals:
            return self._incomplete() if require_all else None
        more = f" (and {len(refusals) - 1} more, above)" if len(refusals) > 1 else ""
        where = "" if refusals[0].offset is None else f" [byte 0x{refusals[0].offset:x}]"
        return ImageError(f"{self.name} would be refused: {verdict_words(refusals[0])}{where}{more}")

    def _incomplete(self) -> ImageError | None:
        if self.verdict.unchecked:
            return ImageError(f"{self.name} was not fully checked: {self.verdict.unchecked[0].message} (--enc-key)")
        if not self.verdict.signature_checked:
            return ImageError(f"{self.name} was not fully checked: no key was given for its signature (-k)")
        return None

    def summary(self) -> dict[str, Any]:
        """The verdict for scripts."""
        verdict, image = self.verdict, self.image
        return {
            "file": self.file,
            "verdict": self.word,
            "accepted": verdict.accepted,
            "version": image.header.version,
            "size_bytes": image.size_bytes,
            "hash": image.hash,
            "encrypted": image.encrypted,
            "signature_checked": verdict.signature_checked,
            "key": None if verdict.key_index is None else shown_key(self.trust.names[verdict.key_index]),
            "seal": None if self.seal is None else seal_entry(self.seal),
            "refusals": _entries(verdict.refusals),
            "unchecked": _entries(verdict.unchecked),
            "warnings": _entries(verdict.warnings),
        }

    @property
    def word(self) -> str:
        """The verdict in a word."""
        if self.verdict.refusals:
            return "refused"
        return "accepted" if self.verdict.signature_checked and not self.verdict.unchecked else "not checked"

    def told(self) -> RenderableType:
        """The verdict for people."""
        image, refusals = self.image, self.verdict.refusals
        pairs = [
            *((("image", self.file),) if self.package is not None else ()),
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
            return f"valid, by {shown_key(self.trust.names[self.verdict.key_index])}{over}"
        if any(one.code == "signature" for one in self.verdict.unchecked):
            return "cannot be checked without decryption (--enc-key)"
        return "invalid" if self.verdict.signature_checked else "not checked: no key was given"

    def _encryption(self) -> str:
        if not self.image.encrypted:
            return "none"
        if self.verdict.plain is None:
            return "not decrypted"
        return (
            "the payload is not encrypted"
            if self.verdict.plain is self.image
            else f"decrypted with {self.trust.enc_key}"
        )


def _entries(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [{"code": one.code, "offset": one.offset, "message": verdict_words(one)} for one in findings]
