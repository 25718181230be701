"""``secure-dfu send``: sends a package, shows how far it is, and says what came back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.connection import resolve
from smpdfu.cli.securedfu.send_options import DfuConnection, SendOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interruption import now_leaves
from smpdfu.cli.terminal.show import Advance, Good, Output, facts, print_json_line, upload_phase
from smpdfu.connect import Address, parse_address
from smpdfu.errors import LinkError
from smpdfu.secure_dfu import read_secure_dfu_package, send_secure_dfu
from smpdfu.securedfu.protocol.buttonless import NAME_MAX
from smpdfu.securedfu.send.ble_addresses import is_shown
from smpdfu.securedfu.send.carry import TIMEOUT_S
from smpdfu.securedfu.send.session import (
    SecureDfuEvent,
    SecureDfuPartBegins,
    SecureDfuPartSkipped,
    SecureDfuProgress,
    SecureDfuRestarts,
    SentSecureDfuPackage,
    SentSecureDfuPart,
)
from smpdfu.securedfu.send.transport import CameBack

if TYPE_CHECKING:
    from rich.console import RenderableType

IN_PART = (
    "The device waits in its bootloader with a part of the firmware. Run the same command again: it continues where "
    "the device is. After some time without a command, the bootloader restarts the device."
)
NOTHING = "The device is unchanged. Run the same command again."
BEFORE_FIRMWARE = (
    "The device waits in its bootloader, perhaps with a part of the firmware. Run the same command again: it continues "
    "where the device is. After some time without a command, the bootloader restarts the device."
)
UNDER_ANOTHER_NAME = (
    "The device waits in its bootloader, perhaps with a part of the firmware. It has another name there: `smpdfu scan` "
    "shows its address. Send the package to this address: smpdfu continues where the device is."
)
INSTALLS = "The device has all of the firmware and installs it. Do not turn its power off."
INSTALLS_PART = (
    "The device has {} and installs it: do not turn its power off. The rest of the package is not sent. Run the same "
    "command again when the device is in its bootloader."
)
WAITING = "waiting for the device"
_WIRES = ("serial", "ble")

_RUNS = {
    CameBack.APPLICATION: Good("the application runs"),
    CameBack.BOOTLOADER: "the bootloader runs: it waits for an application",
    CameBack.UNKNOWN: "not known: the bootloader took the firmware and does not answer any more. If the application "
    "runs, it does so without a sign on this wire",
}
_NEXT = {
    CameBack.UNKNOWN: "check that the application works, by what it does or by its own version",
    CameBack.BOOTLOADER: "send the application",
}


async def send_package(path: Path, how: SendOptions, conn: DfuConnection, out: Output) -> None:
    """Send the package at ``path``, and print what became of it."""
    settings = resolve(conn, _WIRES)
    address = _address(settings.address, conn)
    package = read_secure_dfu_package(path)
    now_leaves(NOTHING)
    by_name = address.kind == "ble" and not is_shown(address.target)
    with Reporter(out, events=how.events, by_name=by_name) as report:
        try:
            sent = await send_secure_dfu(
                str(address),
                package,
                timeout_s=settings.timeout_s or TIMEOUT_S,
                boot_timeout_s=how.boot_timeout,
                force=how.force,
                bootloader_name=conn.bootloader_name,
                watch=report,
                unlocked=out.warn,
            )
        except LinkError as error:
            error.address = error.address or str(address)
            raise
    answer = _answer(path, sent)
    if how.events:
        print_json_line(answer)
    else:
        out.emit(answer, lambda: _told(path, sent))


def _address(text: str, conn: DfuConnection) -> Address:
    """The device's address with the options for it. Raises typer.BadParameter."""
    address = parse_address(text)
    if address.kind == "virtual":
        raise typer.BadParameter(
            f"a virtual nRF52 takes a package at its terminal. Run `smpdfu virtual run {address.target}`, then give "
            "--port with the port that it prints"
        )
    if address.kind not in _WIRES:
        raise typer.BadParameter(f"{address} does not carry Secure DFU. Give --port, --ble or --to")
    if conn.bootloader_name is not None and address.kind != "ble":
        raise typer.BadParameter("--bootloader-name works only with --ble")
    if conn.bootloader_name is not None and not 1 <= len(conn.bootloader_name.encode(errors="replace")) <= NAME_MAX:
        raise typer.BadParameter(f"--bootloader-name has 1 to {NAME_MAX} bytes")
    if conn.flow_control is None:
        return address
    if address.kind != "serial":
        raise typer.BadParameter("--flow-control works only with --port")
    flow = "rtscts" if conn.flow_control else "none"
    return Address(address.kind, address.target, {**address.options, "flow": flow})


class Reporter:
    """Shows the events: a line for each part, its progress, a spinner for each restart. Used with ``with``.

    ``by_name``: the same command may not find the device again, for its bootloader advertises another name.
    """

    def __init__(self, out: Output, *, events: bool, by_name: bool = False) -> None:
        self._out = out
        self._by_name = by_name
        self._events = events
        self._stack = ExitStack()
        self._advance: Advance | None = None
        self._parts_left = 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, event: SecureDfuEvent) -> None:
        """Show an event."""
        if self._events:
            print_json_line(_entry(event))
        if isinstance(event, SecureDfuProgress):
            now_leaves(UNDER_ANOTHER_NAME if self._by_name else IN_PART)
            if self._advance is not None:
                self._advance(event.progress.off, event.progress.len, upload_phase(event.progress.off))
            return
        self._stack.close()
        self._advance = None
        if isinstance(event, SecureDfuPartBegins):
            now_leaves(UNDER_ANOTHER_NAME if self._by_name else BEFORE_FIRMWARE)
            self._parts_left = event.parts - event.number
            self._out.say(f"[{event.number}/{event.parts}] {event.image}: {event.size_bytes} bytes")
            self._advance = self._stack.enter_context(self._out.progress(event.image))
        elif isinstance(event, SecureDfuPartSkipped):
            self._out.say(f"{event.image}: the device has this version or a newer one")
        else:
            now_leaves(INSTALLS_PART.format(event.image) if self._parts_left else INSTALLS)
            self._stack.enter_context(self._out.waiting(WAITING))


def _entry(event: SecureDfuEvent) -> dict[str, Any]:
    """An event for ``--events``."""
    if isinstance(event, SecureDfuPartBegins):
        numbers = {"number": event.number, "parts": event.parts, "bytes": event.size_bytes}
        return {"event": "part", "image": event.image, **numbers}
    if isinstance(event, SecureDfuProgress):
        done = event.progress
        counts = {"resumed_at": done.resumed_at, "repeats": done.repeats, "damaged": done.damaged}
        return {"event": "progress", "image": event.image, "off": done.off, "bytes": done.len, **counts}
    if isinstance(event, SecureDfuRestarts):
        return {"event": "restart", "image": event.image, "within_s": round(event.within_s, 1)}
    return {"event": "skipped", "image": event.image}


def _answer(path: Path, sent: SentSecureDfuPackage) -> dict[str, Any]:
    """The answer for ``--json``."""
    known = sent.came_back is not CameBack.UNKNOWN
    return {
        "file": str(path),
        "parts": [_part(one) for one in sent.parts],
        "runs": sent.came_back.value if known else None,
    }


def _part(part: SentSecureDfuPart) -> dict[str, Any]:
    return {
        "image": part.image,
        "bytes": part.size_bytes,
        "seconds": round(part.seconds, 3),
        "resumed_at": part.resumed_at,
        "repeats": part.repeats,
        "damaged": part.damaged,
        "skipped": part.skipped,
    }


def _told(path: Path, sent: SentSecureDfuPackage) -> RenderableType:
    """The answer for people, and what to do next."""
    rows: list[tuple[str, object]] = [("package", str(path))]
    rows += [(part.image, _sent(part)) for part in sent.parts]
    rows.append(("runs now", _RUNS[sent.came_back]))
    if sent.came_back in _NEXT:
        rows.append(("next", _NEXT[sent.came_back]))
    return facts(rows)


def _sent(part: SentSecureDfuPart) -> str:
    """The number of bytes, the time and the speed."""
    if part.skipped:
        return "not needed: the device has this version or a newer one"
    rate = (part.size_bytes - part.resumed_at) / 1000 / max(part.seconds, 0.001)
    words = f"{part.size_bytes} bytes in {part.seconds:.1f} s, {rate:.1f} kB/s"
    if part.resumed_at:
        words += f"; an earlier run sent {part.resumed_at} of them"
    return f"{words}; {part.repeats} times repeated" if part.repeats else words
