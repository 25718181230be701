"""``virtual log``."""

from __future__ import annotations

from smpdfu.cli.terminal.show import Output, print_line
from smpdfu.virtual.store import devices as store_devices


def print_log(name: str, out: Output, lines: int | None) -> None:
    """Print the last ``lines`` of a device's console, or all of them. Raises ConnectError if it does not exist."""
    wanted = store_devices.read_log(name)[-lines if lines else None :]
    if out.json:
        out.emit({"lines": wanted}, str)
    else:
        for one in wanted:
            print_line(one)
