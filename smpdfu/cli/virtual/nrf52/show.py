"""``virtual show``, ``list`` and ``reset`` for an nRF52."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import Output, facts
from smpdfu.image.secure_dfu.softdevices import softdevice_words
from smpdfu.virtual.nrf52.report import ImageReport, Nrf52Report, report_nrf52
from smpdfu.virtual.store.names import holder_of
from smpdfu.virtual.store.nrf52 import open_nrf52, view_nrf52

if TYPE_CHECKING:
    from rich.console import RenderableType

_ENDINGS = {
    "application": "the application",
    "dfu": "the bootloader, in DFU mode",
    "crash": "nothing: the bootloader started the application, but its code is for another address and crashed",
    "no bootloader": "nothing: there is no bootloader that can run",
    "off": "nothing: it has no power",
}


def reset_nrf52(name: str, out: Output, *, button: bool) -> None:
    """Turn a device off and on, and show it. ``button``: hold the one of DFU mode. Raises ConnectError."""
    with open_nrf52(name, switch_on=False) as device:
        device.reset(wants_dfu=button)
    emit(name, out)


def emit(name: str, out: Output) -> None:
    """Show a device. Raises ConnectError if it does not exist or is damaged."""
    found = report_nrf52(view_nrf52(name))
    out.emit(row_of(found), lambda: _rendered(found))


def row_of(found: Nrf52Report) -> dict[str, Any]:
    """Return what was found, with the process that runs the device and its port."""
    held = holder_of(found.name) or {}
    return found.to_dict() | {"pid": held.get("pid"), "port": held.get("port")}


def _rendered(found: Nrf52Report) -> RenderableType:
    return facts(
        (
            ("device", found.name),
            ("layout", found.layout),
            ("power", "on" if found.powered else "off"),
            ("runs", _ENDINGS[found.ending]),
            *_images(found),
            ("wire", f"Secure DFU over {found.transport}"),
            ("hardware version", str(found.hw_version)),
            ("key", "trusts one key" if found.trusts_key else "trusts no key"),
            *_more(found),
        )
    )


def _images(found: Nrf52Report) -> Iterator[tuple[str, str]]:
    if found.softdevice is not None:
        place = f"0x1000 to 0x{found.softdevice.end:x}"
        yield "SoftDevice", f"{softdevice_words(found.softdevice.firmware_id)}, {place}"
    yield "application", "none" if found.application is None else _image(found.application)
    yield "bootloader", _image(found.bootloader)


def _image(one: ImageReport) -> str:
    return f"version {one.version}, 0x{one.address:x} to 0x{one.address + one.size_bytes:x}"


def _more(found: Nrf52Report) -> Iterator[tuple[str, str]]:
    if found.update_under_way:
        yield "update", "an init packet is accepted, and its firmware is not complete"
    if found.wear is not None:
        yield "most erased", f"0x{found.wear[0]:x}: {found.wear[1]} times"
