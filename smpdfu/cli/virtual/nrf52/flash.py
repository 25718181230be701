"""``virtual load`` and ``dump`` for an nRF52: what a debugger does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.terminal.values import unsigned32
from smpdfu.errors import FormatError
from smpdfu.image.files import Firmware, read_firmware
from smpdfu.virtual.chip.flash import FlashError
from smpdfu.virtual.chip.regions import Region
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.flashing import flash_application
from smpdfu.virtual.store.nrf52 import open_nrf52, view_nrf52


def read_application(device: VirtualNrf52, path: Path) -> bytes:
    """Read an application for the device. A .hex must begin where applications do. Raises ImageError, OSError."""
    return _application(device, read_firmware(path))


def _application(device: VirtualNrf52, firmware: Firmware) -> bytes:
    start = device.chip.bank_0_start
    if firmware.base not in (None, start):
        raise FormatError(
            f"the application is for address 0x{firmware.base:x}, and applications of this device begin at 0x{start:x}"
        )
    data = firmware.flat()
    return data.ljust(-(-len(data) // 4) * 4, b"\xff")


def load_nrf52(name: str, files: Sequence[Path], out: Output, region: str | None) -> None:
    """Write files into the flash and reset the device. Raises typer.BadParameter, ImageError or ConnectError.

    A .hex goes to its own addresses. One that begins where applications do, or a file without addresses, becomes the
    application: the settings of the bootloader say so from then on.
    """
    loads = [read_firmware(path) for path in files]
    with open_nrf52(name, switch_on=False) as device:
        for firmware in loads:
            _load(device, firmware, region)
        device.reset()
        runs = device.app_runs
    told = "runs" if runs else "does not run"
    out.emit(
        {"name": name, "files": [str(path) for path in files], "app_runs": runs},
        lambda: f"Loaded and reset {name}. Its application {told}",
    )


def _load(device: VirtualNrf52, firmware: Firmware, region: str | None) -> None:
    chip = device.chip
    if region is not None:
        place = _region(device, region)
        data = firmware.flat()
        if len(data) > place.size_bytes:
            raise typer.BadParameter(f"the file has {len(data)} bytes, and {region} has {place.size_bytes}")
        chip.load(place.start, data)
    elif firmware.base in (None, chip.bank_0_start):
        chip.load_settings()
        flash_application(chip, device.trust.build, _application(device, firmware), chip.settings.app_version)
    else:
        for segment in firmware.segments:
            try:
                chip.load(segment.address, segment.data)
            except FlashError as error:
                raise typer.BadParameter(f"the file is not for this chip: {error}") from None


def _region(device: VirtualNrf52, name: str) -> Region:
    regions = {region.name: region for region in device.layout.regions}
    if name not in regions:
        raise typer.BadParameter(f"the device's layout has no region {name!r}. Use one of: {', '.join(regions)}")
    return regions[name]


def nrf52_parts(name: str, region: str | None, address: str | None, size: str | None) -> Iterator[tuple[int, bytes]]:
    """Yield a part of the flash with its address, or all that is not blank. Raises typer.BadParameter, ConnectError."""
    device = view_nrf52(name)
    flash = device.chip.flash
    if region is not None:
        wanted = _region(device, region)
        yield wanted.start, flash.read(wanted.start, wanted.size_bytes)
    elif address is None:
        yield from flash.pages()
    else:
        try:
            start, count = unsigned32(address), unsigned32(size or "256")
            yield start, flash.read(start, count)
        except (FlashError, ValueError) as error:
            raise typer.BadParameter(str(error)) from None
