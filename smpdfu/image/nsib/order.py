"""One sealing: read the firmware, seal it, write every file of it; or write what is to be signed elsewhere."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from smpdfu.errors import FormatError, ImageError
from smpdfu.image.files import Firmware, Segment, StrPath, encode_firmware, read_firmware, write_files_atomic
from smpdfu.image.image_file import naming
from smpdfu.image.keys.keys import Signer
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import ValidationInfo, check_firmware, seal_block, seal_offset, vector_to_sign
from smpdfu.image.signing.ecdsa_form import to_der


@dataclass(frozen=True, slots=True)
class SealOrder:
    """What to seal, and where to. ``address`` is where the firmware begins; None: where the .hex says.

    ``offset`` is where in the firmware the seal begins; None: behind it. ``sig_out`` gets the signature, DER in base64.
    A file that holds a private key is replaced only with ``replace_keys``.
    """

    infile: Path
    outfiles: tuple[Path, ...]
    address: int | None = None
    offset: int | None = None
    sig_out: Path | None = None
    replace_keys: bool = False

    def __post_init__(self) -> None:
        if self.sig_out in self.outfiles:
            raise ImageError(f"the firmware and its signature have the same output file: {self.sig_out}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What came of an order. ``start`` is the address of the seal, ``far`` how far it is behind the firmware."""

    order: SealOrder
    info: FirmwareInfo
    seal: ValidationInfo
    start: int

    @property
    def far(self) -> int:
        """Bytes between the end of the firmware and the seal."""
        return self.start - self.info.address - self.info.size


def seal_file(order: SealOrder, signer: Signer) -> Sealed:
    """Seal the firmware and write all its files: a .hex begins at its address, and leaves a gap before the seal.

    Raises ImageError, SigningError, OSError.
    """
    found = read_firmware(order.infile)
    with naming(order.infile):
        firmware, address = _placed(found, order.address)
        info = check_firmware(firmware, address)
        offset = seal_offset(len(firmware), order.offset)
        block = seal_block(firmware, address, signer)
    segments = (Segment(address, firmware), Segment(address + offset, block.to_bytes()))
    files: dict[StrPath, bytes] = {path: encode_firmware(segments, path) for path in order.outfiles}
    if order.sig_out is not None:
        raw = block.signature
        der = to_der((int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")))
        files[order.sig_out] = b64encode(der)
    write_files_atomic(files, replace_keys=order.replace_keys)
    return Sealed(order, info, block, address + offset)


def write_vector(order: SealOrder, what: Literal["payload", "digest"]) -> None:
    """The first pass of a signing elsewhere: write what is to be signed, and no firmware. Raises as ``seal_file``."""
    found = read_firmware(order.infile)
    with naming(order.infile):
        firmware, address = _placed(found, order.address)
        seal_offset(len(firmware), order.offset)
        vector = vector_to_sign(firmware, address)
    data = vector.payload if what == "payload" else vector.digest
    files: dict[StrPath, bytes] = {path: encode_firmware((Segment(address, data),), path) for path in order.outfiles}
    write_files_atomic(files, replace_keys=order.replace_keys)


def _placed(found: Firmware, address: int | None) -> tuple[bytes, int]:
    """The firmware, and where it begins."""
    address = found.base if address is None else address
    if address is None:
        raise FormatError("a .bin file does not say at which address the firmware begins").because("seal-where")
    if found.base not in (None, address):
        raise FormatError(
            f"the .hex file begins at 0x{found.base:08x}, and the firmware is for 0x{address:08x}"
        ).because("seal-address", address=f"0x{found.base:x}")
    return found.flat(), address
