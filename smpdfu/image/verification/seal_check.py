"""What NSIB, the immutable bootloader, says of an image: b0n of the network core's, b0 of MCUboot itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from smpdfu.image.format import COMPRESSED_FLAGS, Image
from smpdfu.image.keys.known_keys import known_key
from smpdfu.image.nrf5340 import NET
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import ValidationInfo, refusal
from smpdfu.image.nsib.sealed_by import SealedBy, public_bytes_of
from smpdfu.image.nsib.trusted_keys import (
    NO_NSIB_KEYS,
    Nsib,
    NsibKeys,
    below_counter,
    judge_seal,
    keys_of,
    revocation,
)
from smpdfu.image.signing.release import weighed
from smpdfu.image.vector_table import Vectors
from smpdfu.image.verification.verdict import Finding, Verdict

SEAL = "seal"
REVOKES_KEYS = "revokes-keys"


@dataclass(frozen=True, slots=True)
class ImageSeal:
    """The seal of an image. ``loader`` checks it; ``info`` and ``validation`` are None where the image has none.

    ``by`` is None if it was not judged by keys, else ``keys`` is how many there were. ``fault`` is why the loader
    refuses it, as far as it was judged; ``revokes`` is what a boot does to the keys before its own.
    """

    loader: Nsib
    info: FirmwareInfo | None
    validation: ValidationInfo | None
    fault: str | None = None
    by: SealedBy | None = None
    keys: int = 0
    revokes: str | None = None

    @property
    def is_of_mcuboot(self) -> bool:
        """True for MCUboot itself: only that is sealed for b0. Without a seal, b0 never starts it."""
        return self.loader is Nsib.B0 and self.validation is not None


def image_seal(image: Image, nsib: NsibKeys = NO_NSIB_KEYS) -> ImageSeal | None:
    """The seal of an image, judged by the keys that are known; None for an image that NSIB does not check.

    None, too, for a payload that cannot be read, because it is encrypted or compressed.
    """
    if image.encrypted or image.header.flags & COMPRESSED_FLAGS:
        return None
    payload = image.payload
    info, vectors = FirmwareInfo.find(payload), Vectors.of(payload)
    address = info.address if info is not None else None if vectors is None else vectors.reset
    if address is None or (info is None and address not in NET):
        return None  # an application has no firmware info
    loader = Nsib.B0N if address in NET else Nsib.B0
    validation = None if info is None else ValidationInfo.find(payload, info.size)
    reason = None if info is None else refusal(payload, info.address, ())
    if info is not None and loader is Nsib.B0 and not info.is_found_behind(image.header.hdr_size):
        reason = "No fw_info struct found."
    fault = None if reason is None else f'{loader} refuses the firmware ("{reason.rstrip(".")}")'
    plain = ImageSeal(loader, info, validation, fault)
    keys = keys_of(loader, nsib)
    if not keys:
        return plain
    by, wrong = judge_seal(payload, keys, loader)
    fault = fault if wrong is None else wrong.message
    if fault is None and info is not None and loader is Nsib.B0:
        fault = below_counter(info.version, nsib.lowest_version)
    return replace(plain, fault=fault, by=by, keys=len(keys), revokes=revocation(by, len(keys), loader))


def seal_key_warnings(seal: ImageSeal | None, *, release: bool) -> tuple[str, ...]:
    """A sentence if everybody has the key that sealed an image; with ``release``, raises SigningError for that."""
    name = None if seal is None or seal.validation is None else known_key(public_bytes_of(seal.validation))
    if seal is None or name is None:
        return ()
    return weighed((f"the seal for {seal.loader} is made with {name}: anybody can seal with it",), release=release)


def with_seal(verdict: Verdict, image: Image, nsib: NsibKeys) -> tuple[Verdict, ImageSeal | None]:
    """The verdict of a device whose NSIB has these keys, and the seal. Without a key, the verdict stays as it is."""
    plain = image if verdict.plain is None else verdict.plain
    seal = image_seal(plain, nsib)
    if seal is None and plain.encrypted and (nsib.net or nsib.b0):
        note = Finding(SEAL, None, "the seal of NSIB lies in the encrypted payload")
        return replace(verdict, unchecked=(*verdict.unchecked, note)), None
    if seal is None or seal.by is None:
        return verdict, seal
    if seal.fault is not None:
        return replace(verdict, refusals=(*verdict.refusals, Finding(SEAL, None, seal.fault))), seal
    if seal.revokes is not None:
        warning = Finding(REVOKES_KEYS, None, seal.revokes)
        return replace(verdict, warnings=(*verdict.warnings, warning)), seal
    return verdict, seal
