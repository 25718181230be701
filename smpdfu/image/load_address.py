"""The load address in MCUboot's header, and the bootloaders that refuse an image without the right one.

Nordic's fork can be built with MCUBOOT_CHECK_HEADER_LOAD_ADDRESS: by default it is from nRF Connect SDK 3.4 on for the
nRF5340's staged scheme, without Partition Manager. Then an image must have ROM_FIXED or RAM_LOAD in its header, in the
primary slot as well (``boot_check_header_valid`` in ``bootutil_loader.c``), and one in the secondary slot a load
address within a range that it may be for (``boot_validate_slot`` in ``loader.c``). All other loaders that swap or
overwrite ignore the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smpdfu.image.format import Flag, Header
from smpdfu.image.nrf5340 import NET
from smpdfu.image.verification.verdict import Code, Finding, Verdict

LOAD_ADDRESS_FLAGS = Flag.ROM_FIXED | Flag.RAM_LOAD

_ADDRESS_OFFSET, _FLAGS_OFFSET = 4, 16  # in the header


def slot_range(slot_address: int, slot_size: int) -> range:
    """The load addresses of images for a slot; of a network image, from its application's start to the flash's end.

    ``slot_size`` is that of MCUboot's slot in bytes: a network image passes through it and lies elsewhere.
    """
    return range(slot_address, NET.end if slot_address in NET else slot_address + slot_size)


def load_address_refusal(header: Header, allowed: Sequence[range] = ()) -> Finding | None:
    """Why a bootloader that checks the header's load address refuses an image; None when it does not.

    ``allowed`` are the ranges that the image in a secondary slot may be for: the primary slot and, where the loader
    lets network images through, the network application's flash. Without any, as in a primary slot, only the flags
    count. The finding's code is ``NO_LOAD_ADDRESS`` where the flags are missing (the loader takes the header for
    invalid), ``LOAD_ADDRESS`` where the address is another.
    """
    wanted = " or ".join(f"0x{one.start:x}" for one in allowed)
    if not header.flags & LOAD_ADDRESS_FLAGS:
        text = f"the header has no load address: its flags are 0x{int(header.flags):x}, without ROM_FIXED and RAM_LOAD"
        text += f"; the bootloader wants ROM_FIXED {wanted}" if allowed else ""
        return Finding(Code.NO_LOAD_ADDRESS, _FLAGS_OFFSET, text)
    if allowed and not any(header.load_addr in one for one in allowed):
        text = f"the header's load address is 0x{header.load_addr:x}, and the bootloader wants {wanted}"
        return Finding(Code.LOAD_ADDRESS, _ADDRESS_OFFSET, text)
    return None


def with_load_address(verdict: Verdict, header: Header, allowed: range, *, checked: bool) -> Verdict:
    """The verdict of a bootloader whose slot takes images for ``allowed``.

    ``checked`` tells that it looks at the header's load address; otherwise that is not known, and there is a warning.
    """
    finding = load_address_refusal(header, (allowed,))
    if finding is None:
        return verdict
    if checked:
        found = replace(finding, facts={"address": f"0x{allowed.start:x}"})
        return replace(verdict, refusals=(*verdict.refusals, found))
    text = f"{finding.message}, if it checks load addresses (nRF5340, nRF Connect SDK 3.4 and later)"
    return replace(verdict, warnings=(*verdict.warnings, replace(finding, message=text)))
