"""``virtual load``, ``dump`` and ``cut``: what a debugger and a power switch do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, print_text
from smpdfu.cli.terminal.values import unsigned32
from smpdfu.cli.virtual.nrf52.flash import load_nrf52, nrf52_parts
from smpdfu.cli.virtual.options.device import Torn
from smpdfu.errors import FormatError
from smpdfu.image.files import FileKind, Firmware, encode_firmware, identify, read_firmware, write_file_atomic
from smpdfu.image.format import Image
from smpdfu.image.hexfile import Segment, merge
from smpdfu.image.nrf5340 import NET
from smpdfu.image.vector_table import Vectors
from smpdfu.virtual.boot.flashing import flash_mcuboot
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import FlashError, Tear
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.store.devices import open_device, view_device
from smpdfu.virtual.store.kinds import is_nrf52
from smpdfu.virtual.store.nrf52 import open_nrf52

_LINE = 16
_MOST_WARNINGS = 10


def load_files(name: str, files: Sequence[Path], out: Output, region: str | None) -> None:
    """Write files into the flash of a device and reset it. Raises typer.BadParameter, ImageError or ConnectError."""
    if is_nrf52(name):
        load_nrf52(name, files, out, region)
        return
    loads = [read_firmware(path) for path in files]
    with open_device(name, switch_on=False) as device:
        for firmware in loads:
            if region is None:
                place(device, _core_of(device, firmware), firmware, out)
            else:
                _fill(device, region, firmware)
        device.reset()
        runs = device.running is not None
    out.emit({"name": name, "files": [str(path) for path in files], "app_runs": runs}, lambda: _loaded(name, runs))


def _loaded(name: str, runs: bool) -> str:
    return f"Loaded and reset {name}. Its application core {'runs' if runs else 'does not run'}"


def place(device: VirtualNrf5340, core: str, firmware: Firmware, out: Output) -> None:
    """Write firmware as a debugger does: a signed image into its slot, a plain .hex to its addresses."""
    data = b"" if len(firmware.segments) > 1 else firmware.segments[0].data
    if firmware.addressed and identify(data) is not FileKind.MCUBOOT_IMAGE:
        left_out = []
        for segment in firmware.segments:
            try:
                device.program(segment.address, segment.data)
            except FlashError:
                left_out.append(f"0x{segment.address:x} to 0x{segment.end:x}")
        for region in left_out[:_MOST_WARNINGS]:
            out.warn(f"skipped {region}: there is no flash of either core")
        if len(left_out) > _MOST_WARNINGS:
            out.warn(f"skipped {len(left_out) - _MOST_WARNINGS} more ranges without flash of either core")
    elif core == "app":
        device.load_app(data)
    elif core == "external":
        _place_external(device, data)
    elif core == "loader":
        _place_loader(device, data)
    elif core == "mcuboot" and device.layout.nsib is not None:
        flash_mcuboot(device.chip, device.layout.nsib, data)
    else:
        device.load_net(data)


def _place_external(device: VirtualNrf5340, data: bytes) -> None:
    number = device.layout.external_half
    if number is None:
        raise typer.BadParameter(
            f"the application in layout {device.layout.name} is one image. --external needs a layout with a second "
            "half in external flash, such as nrf5340dk-xip-split"
        )
    device.load_app(data, number)


def _place_loader(device: VirtualNrf5340, data: bytes) -> None:
    if device.layout.mode is not BootMode.FIRMWARE_LOADER:
        raise typer.BadParameter(
            f"the bootloader is built in {device.layout.mode} mode and has no firmware loader. Give --mode "
            "firmware-loader, or leave out --loader"
        )
    slot = device.layout.secondary
    if _reset_vector(data) not in slot:
        raise typer.BadParameter(
            f"the file of --loader is not linked for the firmware loader's slot, 0x{slot.start:x} to 0x{slot.end:x}"
        )
    device.load_app(data)


def _reset_vector(data: bytes) -> int | None:
    try:
        return Image.from_bytes(data).reset_vector
    except FormatError:
        return None


def _core_of(device: VirtualNrf5340, firmware: Firmware) -> str:
    """Return what firmware without addresses is, by its reset vector: "net" if that is in the network core's flash.

    "external" if it has none for the application's slot, on a device whose application has an external half, "mcuboot"
    if it is linked for a slot of NSIB.
    """
    data = firmware.segments[0].data
    try:
        payload = Image.from_bytes(data).payload
    except FormatError:
        payload = data
    vectors = Vectors.of(payload)
    if vectors is not None and vectors.reset in NET:
        return "net"
    nsib = device.layout.nsib
    if nsib is not None and vectors is not None and any(vectors.reset in slot for slot in nsib.slots):
        return "mcuboot"
    is_internal = vectors is not None and vectors.reset in device.layout.primary
    return "app" if is_internal or device.layout.external_half is None else "external"


def _fill(device: VirtualNrf5340, name: str, firmware: Firmware) -> None:
    if len(firmware.segments) != 1:
        raise typer.BadParameter(
            "the file has gaps, so it does not fit into a --region. Leave out --region to write it to its own addresses"
        )
    wanted = _region(device, name)
    slots = [slot for pair in device.images for slot in pair.places]
    start = next((slot.image_start for slot in slots if slot.area.region == wanted), 0)
    area = device.chip.flash_at(wanted.start).area(wanted)
    device.chip.load(area, b"\xff" * start + firmware.segments[0].data)


def _region(device: VirtualNrf5340, name: str) -> Region:
    regions = {region.name: region for region in (*device.layout.regions, *device.layout.net_regions)}
    if name not in regions:
        known = ", ".join(regions)
        raise typer.BadParameter(f"the device's layout has no region {name!r}. Use one of: {known}")
    return regions[name]


def dump_flash(
    name: str, out: Output, region: str | None, address: str | None, size: str | None, output: Path | None
) -> None:
    """Print a part of a device's flash, or write it to ``output``. Raises typer.BadParameter or ConnectError."""
    parts = nrf52_parts if is_nrf52(name) else _parts
    segments = merge([Segment(start, data) for start, data in parts(name, region, address, size)])
    if output is not None:
        write_file_atomic(output, encode_firmware(segments, output))
        written = sum(len(segment.data) for segment in segments)
        out.emit(
            {"name": name, "file": str(output), "bytes": written},
            lambda: f"Wrote {written} bytes of {name} to {output}",
        )
    elif out.json:
        out.emit({"name": name, "segments": [{"address": one.address, "data": one.data} for one in segments]}, str)
    else:
        for segment in segments:
            print_text("".join(line + "\n" for line in hex_lines(segment.address, segment.data)))


def _parts(name: str, region: str | None, address: str | None, size: str | None) -> Iterator[tuple[int, bytes]]:
    device = view_device(name)
    if region is not None:
        wanted = _region(device, region)
        yield wanted.start, device.chip.flash_at(wanted.start).read(wanted.start, wanted.size_bytes)
    elif address is None:
        for flash in device.chip.flashes.values():
            yield from flash.pages()
    else:
        try:
            start, count = unsigned32(address), unsigned32(size or "256")
            yield start, device.chip.flash_at(start).read(start, count)
        except (FlashError, ValueError) as error:
            raise typer.BadParameter(str(error)) from None


def hex_lines(address: int, data: bytes) -> Iterator[str]:
    """Yield a hex dump, 16 bytes a line; one asterisk stands for repeated lines."""
    last, skipping = b"", False
    for at in range(0, len(data), _LINE):
        line = data[at : at + _LINE]
        if line == last and at + _LINE < len(data):
            if not skipping:
                yield "*"
            skipping = True
            continue
        last, skipping = line, False
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        yield f"{address + at:08x}  {line.hex(' '):<{3 * _LINE - 1}}  {text}"


def cut_power(name: str, out: Output, after: int | None, tear: Torn, *, off: bool) -> None:
    """Cut the power after ``after`` more flash operations, or not at all. Raises typer.BadParameter or ConnectError."""
    if (after is None) != off:
        raise typer.BadParameter("choose when the power fails: give --after N, or --off to cancel it")
    with open_nrf52(name, switch_on=False) if is_nrf52(name) else open_device(name, switch_on=False) as device:
        device.chip.power.cut_after, device.chip.power.tear = after, Tear(tear)
    words = f"{name} keeps its power" if off else f"{name} loses its power after {after} more flash operations"
    out.emit({"name": name, "cut_after": after, "tear": None if off else str(tear)}, lambda: words)
