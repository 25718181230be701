"""Makes the sample firmware of the demo and the tests from Zephyr's hci_usb for the nRF5340 DK (PyPI, smpdfu[samples]).

    python sample_images/make_samples.py FOLDER

writes, always the same bytes:

    linked-at-zero-app.hex, linked-at-zero-net.hex   the two cores as PyPI has them: linked for 0x0 and 0x01000000
    firmware-1.hex, firmware-2.hex                   both cores, at the code addresses of the MCUboot slots of the DK
    split-internal-1.hex, split-external-1.hex       stand-ins for an application in two halves (QSPI XIP), and the same
    split-internal-2.hex, split-external-2.hex       in version 2; no programs
    loader.hex                                       a stand-in for a firmware loader, for its slot of the layout
                                                     nrf5340dk-firmware-loader; no program

Two things are changed in firmware-*.hex, nothing else. *Relocation*: the vector table's entries that point into the
image are moved with it. That is all a bootloader looks at; code that was linked for another address would still not run
on a chip, so **these files are for the virtual device only**. *Version 2*: the build id that Zephyr prints in its boot
banner is replaced by another of the same length, in both cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

from intelhex import IntelHex

from smpdfu.errors import ImageError
from smpdfu.virtual.store.sample_firmware import (
    CORES,
    LOADER,
    read_sample,
    relocate,
    second_version,
    split_halves,
    stand_in,
)


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
    try:
        original = read_sample()
    except ImageError as error:
        sys.exit(str(error))
    for core in CORES:
        write_hex(folder / f"linked-at-zero-{core.name}.hex", {core.linked: original[core.name]})
    first = {core.slot_code: relocate(original[core.name], core) for core in CORES}
    write_hex(folder / "firmware-1.hex", first)
    write_hex(folder / "firmware-2.hex", {address: second_version(image) for address, image in first.items()})
    write_hex(folder / "loader.hex", {LOADER.slot_code: stand_in(LOADER, 1)})
    for number in (1, 2):
        for name, half in zip(("internal", "external"), split_halves(number).items(), strict=True):
            write_hex(folder / f"split-{name}-{number}.hex", dict([half]))


if __name__ == "__main__":
    main()
