"""Makes the sample firmware of the demo and the tests from Zephyr's hci_usb for the nRF5340 DK (PyPI, smpdfu[samples]).

    python sample_images/make_samples.py FOLDER

writes, always the same bytes:

    linked-at-zero-app.hex, linked-at-zero-net.hex   the two cores as PyPI has them: linked for 0x0 and 0x01000000
    firmware-1.hex, firmware-2.hex                   both cores, at the code addresses of the MCUboot slots of the DK

Two things are changed in firmware-*.hex, nothing else. *Relocation*: the vector table's entries that point into the
image are moved with it. That is all a bootloader looks at; code that was linked for another address would still not run
on a chip, so **these files are for the virtual device only**. *Version 2*: the build id that Zephyr prints in its boot
banner is replaced by another of the same length, in both cores.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from intelhex import IntelHex

NET_FLASH = 0x01000000
BUILD_ID, SECOND_BUILD_ID = b"684c9e8f32e4", b"second-build"


@dataclass(frozen=True)
class Core:
    """Where a core's image was linked, and where the code of its slot begins."""

    name: str
    linked: int
    slot_code: int


# The slots of the nRF5340 DK in NCS: MCUboot's primary slot at 0xc000 with a header of 0x200, and behind b0n.
CORES = (Core("app", 0x0, 0xC200), Core("net", NET_FLASH, 0x01008800))


def read_sample() -> dict[str, bytes]:
    """The bytes of each core, from its first to its last used address, gaps as erased flash."""
    try:
        import zephyr_4_4_0_hci_usb_nrf5340dk_default as sample
    except ImportError:
        sys.exit("the sample firmware is not installed: pip install 'smpdfu[samples]'")
    path = Path(sample.HEX_PATH)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sample.HEX_SHA256:
        sys.exit(f"{path} is not the file that its package describes: install smpdfu[samples] again")
    merged = IntelHex(str(path))
    spans = {"app": (0, NET_FLASH - 1), "net": (NET_FLASH, merged.maxaddr())}
    return {name: _span(merged, *span) for name, span in spans.items()}


def _span(merged: IntelHex, first: int, last: int) -> bytes:
    used = [address for address in merged.addresses() if first <= address <= last]
    return bytes(merged.tobinstr(start=used[0], end=used[-1]))


def relocate(image: bytes, core: Core) -> bytes:
    """The image with its vector table moved from ``core.linked`` to ``core.slot_code``.

    Word 0 is the stack pointer and stays. The table ends at the first word that is neither 0 (an unused vector) nor an
    odd (Thumb) address inside the image.
    """
    moved = bytearray(image)
    for offset in range(4, len(image) - 3, 4):
        (entry,) = struct.unpack_from("<I", image, offset)
        if entry == 0:
            continue
        if not (entry % 2 and core.linked <= entry < core.linked + len(image)):
            break
        struct.pack_into("<I", moved, offset, entry - core.linked + core.slot_code)
    return bytes(moved)


def second_version(image: bytes) -> bytes:
    """The image with another build id in its boot banner."""
    if image.count(BUILD_ID) != 1:
        sys.exit("the sample firmware is not the expected build: its banner has no single build id")
    return image.replace(BUILD_ID, SECOND_BUILD_ID)


def write_hex(path: Path, parts: dict[int, bytes]) -> None:
    """Write one Intel HEX with ``parts``, bytes by address."""
    image = IntelHex()
    for address, data in parts.items():
        image.puts(address, data)
    image.write_hex_file(str(path))
    print(f"{path}: " + ", ".join(f"{len(data)} bytes at {address:#x}" for address, data in parts.items()))


def main() -> None:
    """Write the files into the folder given."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    original = read_sample()
    for core in CORES:
        write_hex(folder / f"linked-at-zero-{core.name}.hex", {core.linked: original[core.name]})
    first = {core.slot_code: relocate(original[core.name], core) for core in CORES}
    write_hex(folder / "firmware-1.hex", first)
    write_hex(folder / "firmware-2.hex", {address: second_version(image) for address, image in first.items()})


if __name__ == "__main__":
    main()
