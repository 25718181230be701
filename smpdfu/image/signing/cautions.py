"""What speaks against a signed image though it is valid: each finding has a code for scripts and a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smpdfu.errors import TooLargeError
from smpdfu.image.format import TlvType
from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.image.nrf5340 import APP, NET
from smpdfu.image.signing.build import check_size
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import code_start, link_warning, linked_core

if TYPE_CHECKING:
    from smpdfu.image.signing.order import Signed


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that was made as asked and will hardly work; ``code`` is for scripts.

    ``slot_start`` is where the slot of the image probably starts, as far as a caution needs it and a .hex tells it.
    """

    code: str
    message: str
    slot_start: int | None = None


def cautions(signed: Signed, slot_address: int | None, *, check_link: bool) -> tuple[Caution, ...]:
    """What speaks against the image though it is valid: linked for another place, too large for a usual bootloader."""
    found = []
    if check_link and (sentence := _link_warning(signed, slot_address)):
        found.append(Caution("linked-elsewhere", f"{signed.order.infile}: {sentence}"))
    elif check_link and (sentence := _no_address_warning(signed)):
        found.append(Caution("no-load-address", f"{signed.order.infile}: {sentence}", _slot_of(signed)))
    if sentence := _dependency_warning(signed):
        found.append(Caution("network-dependency", f"{signed.order.infile}: {sentence}"))
    if sentence := _size_warning(signed):
        found.append(Caution("large-for-swap-move", sentence))
    if sentence := signed.order.spec.counter_warning():
        found.append(Caution("large-counter", sentence))
    found += _form_cautions(signed)
    return tuple(found)


def _link_warning(signed: Signed, slot_address: int | None) -> str | None:
    spec, base = signed.order.spec, signed.firmware.base
    slot = slot_address if slot_address is not None else spec.rom_fixed or spec.load_addr or None
    if slot is not None:
        return link_warning(signed.payload, code_start(slot, spec.header_size))
    return link_warning(signed.payload, base if base is None or spec.pad_header else base + spec.header_size)


def _no_address_warning(signed: Signed) -> str | None:
    """For the nRF5340 only, as far as the vector table can tell: for other chips no bootloader checks it."""
    core = linked_core(signed.payload)
    if core is None or signed.image.header.flags & LOAD_ADDRESS_FLAGS:
        return None
    return (
        f"the header has no load address; if this is for an nRF5340 ({core.words}), bootloaders of nRF Connect SDK 3.4 "
        "and later may erase the image"
    )


def _slot_of(signed: Signed) -> int | None:
    """Return the slot's start by the addresses of a .hex; None where there are none."""
    spec, base = signed.order.spec, signed.firmware.base
    if base is None:
        return None
    code = base if spec.pad_header else base + spec.header_size
    slot = code if code in NET else code - spec.header_size
    return slot if slot > 0 else None


def _dependency_warning(signed: Signed) -> str | None:
    """An application of the nRF5340 that needs a version of the network core's image: see ``dfu/package/ties.py``."""
    needs = [need for need in signed.order.spec.dependencies if need.image == 1]
    if not needs or linked_core(signed.payload) is not APP:
        return None
    return (
        f"if image 1 is the network core of an nRF5340, leave the dependency on its version {needs[0].version} out: "
        "while this application runs, a network image with a lower version in its header stops the device at every "
        "boot, and builds of the nRF Connect SDK sign network images as 0.0.0"
    )


def _form_cautions(signed: Signed) -> Iterator[Caution]:
    """How the image names its key, and how its signatures are written: not every bootloader reads that."""
    if signed.order.spec.public_key_format == "full" and signed.order.signers:
        text = "the image names its key in full: only bootloaders built with MCUBOOT_HW_KEY accept it"
        yield Caution("full-key", text)
    signatures = [tlv.data for tlv in signed.image.unprotected if tlv.type == TlvType.ECDSA_SIG]
    if signed.order.spec.pad_sig and any(len(data) > 2 + data[1] for data in signatures):
        text = "the signature is padded with zeros: bootloaders with mbedTLS refuse it"
        yield Caution("padded-signature", text)


def _size_warning(signed: Signed) -> str | None:
    """imgtool's options do not say how the bootloader swaps: the strictest way is what Zephyr builds by default."""
    spec = signed.order.spec
    if spec.swap_mode is not None or spec.overwrite_only or not spec.slot_size:
        return None
    try:
        check_size(signed.image, replace(spec, swap_mode=SwapMode.MOVE))
    except TooLargeError as error:
        return f"a bootloader built for swap-move or swap-offset would refuse this image: {error}"
    return None
