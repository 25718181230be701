"""The request for an image: imgtool's options under their names, checked once, when it is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from smpdfu.errors import ImageError
from smpdfu.image.format import HEADER_SIZE, TLV_VENDOR_MAX, TLV_VENDOR_MIN, Dependency, Endian, Tlv, Version
from smpdfu.image.ids import class_id, vendor_id
from smpdfu.image.tlv import is_distinct
from smpdfu.image.trailer import DEFAULT_MAX_SECTORS, Padding, SlotGeometry, SwapMode, align_up, check_alignment

if TYPE_CHECKING:
    from smpdfu.image.signing.compress import Lzma

Sha = Literal["auto", "256", "384", "512"]
HmacSha = Literal["auto", "256", "512"]
PublicKeyFormat = Literal["hash", "full"]
Compression = Literal["disabled", "lzma2", "lzma2armthumb"]

KEY_SIZES = {128: 16, 256: 32}  # of content keys: imgtool's option in bits, and bytes
MAX_BOOT_RECORD_TYPE = 12  # characters of --boot-record
LARGEST_HARDWARE_COUNTER = 0xFFFF
_WORD_MAX = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How to make an image; imgtool's options under their names, sizes in bytes.

    ``slot_size`` 0 means unknown: ``build`` does not check the size. ``swap_mode`` and ``sector_size``, which imgtool
    does not have, say how the bootloader installs updates. Without a mode, an image is too large only if every
    bootloader refuses it.
    ``vid`` and ``cid`` are 16 bytes, or text as imgtool has it. Nordic's fork has: ``pad_value``, which fills the
    header (in the file as well as before it) and the free rest of a padded slot; ``manifest``, the value of that TLV;
    and the parameters of LZMA. Raises ``ImageError`` for options that contradict each other or MCUboot.
    """

    version: Version
    header_size: int
    slot_size: int
    pad_header: bool = False
    align: int = 1
    max_align: int | None = None
    max_sectors: int = DEFAULT_MAX_SECTORS
    overwrite_only: bool = False
    swap_mode: SwapMode | None = None
    sector_size: int = 4096
    pad: bool = False
    confirm: bool = False
    test: bool = False
    erased_val: int = 0xFF
    pad_value: int | None = None
    dependencies: tuple[Dependency, ...] = ()
    security_counter: int | Literal["auto"] | None = None
    boot_record: str | None = None
    custom_tlvs: tuple[Tlv, ...] = ()
    load_addr: int = 0
    rom_fixed: int = 0
    non_bootable: bool = False
    encrypt_keylen: int = 128
    clear: bool = False
    save_enctlv: bool = False
    endian: Endian = "little"
    sha: Sha = "auto"
    pure: bool = False
    hmac_sha: HmacSha = "auto"
    pad_sig: bool = False
    public_key_format: PublicKeyFormat = "hash"
    vid: str | bytes | None = None
    cid: str | bytes | None = None
    manifest: bytes | None = None
    compression: Compression = "disabled"
    compression_lzma_dictsize: int = 131072
    compression_lzma_pb: int = 2
    compression_lzma_lc: int = 3
    compression_lzma_lp: int = 1
    compression_lzma_preset: int = 9

    def __post_init__(self) -> None:
        for fault in _faults(self):
            raise ImageError(fault)
        if self._lzma_values() != _USUAL_LZMA:  # those are good, and most images are not compressed
            self.lzma()
        try:
            self.real_ids()
            check_alignment(self.align, self.real_max_align)
            if self.slot_size:
                self.geometry()
        except ValueError as error:
            raise ImageError(str(error)) from None

    @property
    def padded(self) -> bool:
        """True if the file fills the slot: ``confirm`` and ``test`` imply ``pad``."""
        return self.pad or self.confirm or self.test

    @property
    def real_max_align(self) -> int:
        """``max_align``, or what imgtool takes without it."""
        return max(8, self.align) if self.max_align is None else self.max_align

    @property
    def real_security_counter(self) -> int | None:
        """Value of the SEC_CNT TLV; ``auto`` makes it of the version, the build number not counted."""
        if self.security_counter != "auto":
            return self.security_counter
        return self.version.auto_counter

    def counter_warning(self) -> str | None:
        """Return why the security counter may be too large for hardware counters; None if it is not.

        The nRF5340's counters have 16 bits (``bl_monotonic_counters`` of the nRF Connect SDK), TF-M's often fewer; the
        counter that ``auto`` makes of version 0.1.0 is past that already.
        """
        counter = self.real_security_counter
        if counter is None or counter <= LARGEST_HARDWARE_COUNTER:
            return None
        origin = "made of the version" if self.security_counter == "auto" else "as given"
        return (
            f"the security counter is {counter} ({origin}), and the hardware counters of the nRF5340 end at "
            f"{LARGEST_HARDWARE_COUNTER}: count the releases that must not be rolled back (-s NUMBER)"
        )

    @property
    def compressed(self) -> bool:
        """True if ``build`` compresses the payload, provided that makes it smaller."""
        return self.compression != "disabled"

    @property
    def header_fill(self) -> int:
        """What fills the header up to its size: without ``pad_header`` the zeros that the file has there."""
        if self.pad_value is not None:
            return self.pad_value
        return self.erased_val if self.pad_header else 0

    def lzma(self) -> Lzma:
        """The parameters of the encoder; ``ImageError`` for what LZMA2 does not have."""
        from smpdfu.image.signing.compress import Lzma  # here: few images are compressed

        return Lzma(*self._lzma_values())

    def _lzma_values(self) -> tuple[int, ...]:
        return (
            self.compression_lzma_dictsize,
            self.compression_lzma_pb,
            self.compression_lzma_lc,
            self.compression_lzma_lp,
            self.compression_lzma_preset,
        )

    def real_ids(self) -> tuple[bytes | None, bytes | None]:
        """Values of the UUID_VID and the UUID_CID TLV; ``ValueError`` for what cannot be one."""
        vid = None if self.vid is None else vendor_id(self.vid)
        return vid, None if self.cid is None else class_id(self.cid, vid)

    def geometry(self, encrypted_key_size: int = 0) -> SlotGeometry:
        """The slot; without a ``swap_mode`` the kind with the least demands. ``ValueError`` for an impossible one.

        That is swap-scratch with a trailer in one sector: imgtool's options do not tell how large sectors are.
        """
        mode = SwapMode.OVERWRITE_ONLY if self.overwrite_only else self.swap_mode or SwapMode.SCRATCH
        known = self.overwrite_only or self.swap_mode is not None
        return SlotGeometry(
            self.slot_size,
            self.sector_size if known else align_up(max(self.sector_size, self.slot_size), self.align),
            self.align,
            self.real_max_align,
            self.max_sectors,
            mode,
            encrypted_key_size,
        )

    def padding(self) -> Padding:
        """How a padded file is marked as pending."""
        return Padding(
            self.slot_size,
            self.real_max_align,
            confirm=self.confirm and not self.overwrite_only,
            test=self.test and not self.overwrite_only,
            erased_value=self.erased_val,
            endian=self.endian,
        )


_USUAL_LZMA = tuple(one.default for one in fields(ImageSpec) if one.name.startswith("compression_lzma_"))


def _faults(spec: ImageSpec) -> Iterator[str]:
    """What is wrong with a request, a sentence each."""
    if not HEADER_SIZE <= spec.header_size <= 0xFFFF:
        yield f"the header size is {spec.header_size}: it must be 32 to 65535"
    if not 0 <= spec.slot_size <= _WORD_MAX:
        yield f"the slot size is {spec.slot_size}: it must be 0 to 0xffffffff"
    if spec.padded and not spec.slot_size:
        yield "the file cannot be padded to a slot of size 0"
    if spec.overwrite_only and spec.swap_mode not in (None, SwapMode.OVERWRITE_ONLY):
        yield f"overwrite-only and {spec.swap_mode} exclude each other"
    if spec.erased_val not in (0, 0xFF):
        yield f"the erased value is {spec.erased_val}: flash erases to 0 or 0xff"
    if spec.pad_value not in (None, 0, 0xFF):
        yield f"the pad value is {spec.pad_value}: it must be 0 or 0xff"
    if spec.encrypt_keylen not in KEY_SIZES:
        yield f"the length of the content key is {spec.encrypt_keylen} bits: it must be 128 or 256"
    if spec.load_addr and spec.rom_fixed:
        yield "a load address and a fixed ROM address exclude each other"
    for name, value in (("load address", spec.load_addr), ("fixed ROM address", spec.rom_fixed)):
        if not 0 <= value <= _WORD_MAX:
            yield f"the {name} 0x{value:x} does not fit 32 bits"
    counter = spec.real_security_counter
    if counter is not None and not 0 <= counter <= _WORD_MAX:
        yield f"the security counter is {counter}: it must be 0 to 4294967295"
    if spec.boot_record is not None and len(spec.boot_record) > MAX_BOOT_RECORD_TYPE:
        yield f"the boot record's type {spec.boot_record!r} has more than {MAX_BOOT_RECORD_TYPE} characters"
    yield from _choice_faults(spec)
    yield from _compression_faults(spec)
    yield from _tlv_faults(spec)


_CHOICES = {
    "sha": get_args(Sha),
    "hmac_sha": get_args(HmacSha),
    "public_key_format": get_args(PublicKeyFormat),
    "compression": get_args(Compression),
    "endian": get_args(Endian),
}


def _choice_faults(spec: ImageSpec) -> Iterator[str]:
    for name, choices in _CHOICES.items():
        if getattr(spec, name) not in choices:
            yield f"{name} is {getattr(spec, name)!r}: it must be one of {', '.join(choices)}"
    if spec.pure and spec.sha != "auto":
        yield "a pure signature uses the hash of its kind of key: --sha cannot be chosen with it"


def _compression_faults(spec: ImageSpec) -> Iterator[str]:
    if not spec.compressed:
        return
    if spec.pure:
        yield "no bootloader accepts a pure signature of a compressed image"
    if spec.header_size != HEADER_SIZE and spec.header_fill != spec.erased_val:
        yield (
            "a compressed image needs a header filled as erased flash is, for so the bootloader fills it when it has "
            "decompressed the image: add --pad-header, or --pad-value with the erased value"
        )


def _tlv_faults(spec: ImageSpec) -> Iterator[str]:
    seen: set[int] = set()
    for tlv in spec.custom_tlvs:
        if not TLV_VENDOR_MIN <= tlv.type <= TLV_VENDOR_MAX:
            yield f"a custom TLV cannot have the type {tlv.name}: it must be 0x{TLV_VENDOR_MIN:02x} to 0xfffe"
        if not is_distinct(tlv.type, spec.endian):
            yield f"a custom TLV of the type {tlv.name} would be read as one of MCUboot's own in a big-endian image"
        if tlv.type in seen:
            yield f"the custom TLV {tlv.name} appears twice"
        seen.add(tlv.type)
