"""Which chip a stored device is: an nRF5340 with MCUboot, or an nRF52 with the nRF5 SDK's secure bootloader."""

from __future__ import annotations

from pathlib import Path

from smpdfu.errors import ConnectError
from smpdfu.untrusted.nesting import load_json
from smpdfu.virtual.chip.layout import LAYOUTS as NRF5340_LAYOUTS
from smpdfu.virtual.nrf52.layout import LAYOUTS
from smpdfu.virtual.store.names import folder_of, list_devices


def layout_names() -> list[str]:
    """Return the names of the layouts of both chips."""
    return [*NRF5340_LAYOUTS, *LAYOUTS]


def is_nrf52(name: str) -> bool:
    """Whether the device is an nRF52. A damaged one is none. Raises ConnectError if there is no such device."""
    return _is_nrf52(folder_of(name))


def smp_devices() -> tuple[str, ...]:
    """Return the names of the devices that speak SMP, sorted."""
    return tuple(name for name in list_devices() if not is_nrf52(name))


def refuse_nrf52(name: str, folder: Path) -> None:
    """Raise ConnectError if the device is an nRF52: it speaks no SMP."""
    if _is_nrf52(folder):
        raise ConnectError(
            f"the virtual device {name!r} is an nRF52 with a Secure DFU bootloader. It does not speak SMP",
            f"virtual:{name}",
        ).because("secure-dfu-device")


def _is_nrf52(folder: Path) -> bool:
    try:
        return load_json((folder / "device.json").read_text()).get("layout") in LAYOUTS
    except (OSError, ValueError, AttributeError, TypeError):
        return False
