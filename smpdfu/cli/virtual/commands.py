"""``smpdfu virtual``: make, run and inspect virtual nRF5340 devices."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.cli.app import completion
from smpdfu.cli.app.command import command
from smpdfu.cli.terminal.interrupt import run_async
from smpdfu.cli.terminal.show import Output, print_line, table, words
from smpdfu.cli.virtual import flash as virtual_flash
from smpdfu.cli.virtual.boot_options import BootParts, LoaderParts
from smpdfu.cli.virtual.flash import place
from smpdfu.cli.virtual.options import ServerParts, WireParts, device_number
from smpdfu.cli.virtual.serve import Wires, servings
from smpdfu.cli.virtual.view import look, rendered, row, with_holder
from smpdfu.untrusted import text as door

if TYPE_CHECKING:
    import asyncio

    from smpdfu.image.files import Firmware
    from smpdfu.virtual.device import VirtualNrf5340
    from smpdfu.virtual.line.traffic import Traffic
    from smpdfu.virtual.report import Report
    from smpdfu.virtual.store.devices import Recipe

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The device's name.", autocompletion=completion.virtual_names)
]
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="The devices' names.", autocompletion=completion.virtual_names),
]
Lines = Annotated[int | None, typer.Option("-n", "--lines", metavar="N", min=1, help="Print only the last N lines.")]


@dataclass(frozen=True, slots=True)
class Parts:
    """The keys and the firmware of a device."""

    key: Annotated[
        list[Path] | None,
        typer.Option(
            "-k", "--key", "--sign-key", metavar="PEM", help="Key that MCUboot trusts. Repeat it for several keys."
        ),
    ] = None
    enc_key: Annotated[
        Path | None, typer.Option("--enc-key", metavar="PEM", help="Private key that MCUboot decrypts images with.")
    ] = None
    net_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--net-key", metavar="PEM", help="Key that b0n on the network core trusts. Repeat it for several keys."
        ),
    ] = None
    app: Annotated[
        Path | None, typer.Option("--app", metavar="FILE", help="Signed image that the application core runs at first.")
    ] = None
    net: Annotated[Path | None, typer.Option("--net", metavar="FILE", help="Firmware of the network core.")] = None
    device_id: Annotated[
        str | None,
        typer.Option(
            "--device-id",
            metavar="HEX",
            help="Number of the chip that `hwinfo devid` shows. With none, the firmware has no such command. "
            "[default: random]",
            show_default=False,
        ),
    ] = None


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    room = typer.Typer(help="Make, run and inspect virtual nRF5340 devices.", no_args_is_help=True)
    for function in (new, run, reset, show, log, delete):
        command(room, function.__name__)(function)
    virtual_flash.register(room)
    command(room, "list")(list_devices)
    app.add_typer(room, name="virtual")


def new(
    name: Name,
    parts: Parts,
    boot: BootParts,
    loader: LoaderParts,
    server: ServerParts,
    out: Output,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Make a board to try: with a new key, firmware, and packages of versions 1 and 2 in the folder "
            "NAME-demo. Prints the commands to try.",
        ),
    ] = False,
) -> None:
    """Make a virtual board: a chip with MCUboot, b0n, the keys that they trust, and firmware.

    Without --app the board has no firmware and answers nothing. To try smpdfu: `smpdfu virtual new desk --demo`.
    """
    if demo:
        _new_demo(name, parts, boot, loader, server, out)
        return
    found = _create(name, parts, boot, loader, server, out)
    out.emit(with_holder(found), lambda: rendered(found))
    if parts.app is None:
        for line in _without_firmware(name, parts):
            out.say(line)


def _new_demo(name: str, parts: Parts, boot: BootParts, loader: LoaderParts, server: ServerParts, out: Output) -> None:
    from smpdfu.cli.virtual.demo import Demo

    if replace(parts, device_id=None) != Parts() or boot != BootParts() or loader != LoaderParts():
        raise typer.BadParameter(
            "--demo chooses the keys, the firmware and the bootloader itself. Leave out the options for them"
        )
    demo = Demo(name)
    try:
        demo.check()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    demo.make_files()
    own = replace(parts, key=[demo.sign_key], app=demo.image("app"), net=demo.image("net"))
    try:
        found = _create(name, own, boot, loader, server, out)
    except BaseException:
        demo.remove_files()
        raise
    commands = [{"command": step.command, "does": step.sentence} for step in demo.steps]
    out.emit(
        with_holder(found) | {"demo": {"folder": demo.folder, "commands": commands}},
        lambda: words("\n".join(demo.lines())),
    )


def _create(name: str, parts: Parts, boot: BootParts, loader: LoaderParts, server: ServerParts, out: Output) -> Report:
    """Make the device, load its firmware and start it; no device is left if that fails."""
    from smpdfu.virtual.store import devices as store_devices

    loads = _read_loads(parts)
    try:
        store_devices.create(name, _recipe(parts, boot, loader, server))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if parts.enc_key is not None and _is_protected(parts.enc_key):
        out.warn(
            f"smpdfu stores the key {parts.enc_key} without its passphrase in "
            f"{store_devices.home() / name / 'device.json'}. Only you can read that file. Use a key that is made for "
            "tests"
        )
    try:
        with store_devices.open_device(name, switch_on=False) as device:
            for core, firmware in loads:
                place(device, core, firmware, out)
            device.reset()
    except BaseException:
        store_devices.delete(name)
        raise
    found = look(name)
    if parts.app is not None and not found.app_runs:
        out.warn(f"the device does not start this application: {_last_error(name)}")
    return found


def _without_firmware(name: str, parts: Parts) -> list[str]:
    """What a device without an application needs, and the commands for it."""
    lines = [f"{name} has no application and answers no command."]
    if parts.key is None:
        lines.append("Its bootloader trusts no key. Delete it and make it again with -k KEY and --app FILE:")
        lines.append(f"`smpdfu virtual delete {name}`, then `smpdfu virtual new {name} -k KEY --app FILE`.")
    else:
        lines.append(f"Load a signed image: `smpdfu virtual load {name} app_update.bin`.")
    return [*lines, "For a board with everything: `smpdfu virtual new demo --demo`."]


def run(names: Names, out: Output, wires: Wires, wire: WireParts) -> None:
    """Run virtual devices until you press Ctrl-C.

    Prints their ports on stdout, and their consoles on stderr.
    """
    from smpdfu.virtual.line.timers import precise_loop

    if wires.copies and len(names) > 1:
        raise typer.BadParameter("--copies works with one device. Give one NAME")
    each = wires.of_many(wires.copies or len(names))
    run_async(_serve(names, out, wire.traffic(stream=wires.stream), each), precise_loop)


async def _serve(names: list[str], out: Output, traffic: Traffic, each: list[Wires]) -> None:
    import asyncio

    from smpdfu.virtual.server.serial_recovery import RecoveryBuild

    with ExitStack() as stack:
        devices = _taken(names, each[0].copies, out, stack)
        parts = []
        for number, (device, wires) in enumerate(zip(devices, each, strict=True)):
            loses = traffic.loss or traffic.reshuffles  # each device loses different messages
            device.traffic = replace(traffic, seed=traffic.seed + number) if loses else traffic
            _show_console(device, among=len(devices))
            if wires.recovery:
                device.recovers = True
                device.recovery_build = RecoveryBuild(direct_upload=wires.direct_upload)
                device.enter_recovery()
            parts += servings(device, wires, partial(_announce, device, out))
        try:
            await asyncio.sleep(0)  # Ctrl-C may have come meanwhile
        except asyncio.CancelledError:
            for part in parts:
                part.close()
            raise
        serving = asyncio.gather(*parts)
        _stop_by_signal(serving)
        try:
            await asyncio.wait([serving])
        finally:  # Ctrl-C may also come before the signal handlers are there
            serving.cancel()
            await asyncio.wait([serving])
            failed = None if serving.cancelled() else serving.exception()
        if failed is not None and not isinstance(failed, asyncio.CancelledError):
            raise failed


def _taken(names: list[str], copies: int | None, out: Output, stack: ExitStack) -> Sequence[VirtualNrf5340]:
    from smpdfu.local.state.limits import allow_open_files
    from smpdfu.virtual.copies import copies_of
    from smpdfu.virtual.store.devices import open_device, view_device

    if not copies:
        return [stack.enter_context(open_device(name)) for name in names]
    allow_open_files(2 * copies + 100)
    devices = copies_of(view_device(names[0]), copies)
    out.say(f"smpdfu runs {copies} copies of {names[0]} in memory. Press Ctrl-C to stop and discard them")
    return devices


def _show_console(device: VirtualNrf5340, *, among: int) -> None:
    """Show the console from now on; for a single device also the lines of its boot."""
    if among > 1:
        device.watch(lambda line: _console_line(f"{device.name}: {line}"))
        return
    for line in device.log:
        _console_line(line)
    device.watch(_console_line)


def reset(name: Name, out: Output) -> None:
    """Turn a device off and on. RAM is lost, and the bootloader runs."""
    from smpdfu.virtual.store.devices import open_device

    with open_device(name) as device:
        device.reset()
    show(name, out)


def show(name: Name, out: Output) -> None:
    """Show both cores: whether they run, slots, versions and trailers."""
    found = look(name)
    out.emit(with_holder(found), lambda: rendered(found))


def list_devices(out: Output) -> None:
    """List the virtual devices."""
    from smpdfu.virtual.store import devices as store_devices

    devices = [row(name, out) for name in store_devices.list_devices()]
    columns = ("name", "layout", "power", "runs", "in use by", "port")
    keys = ("name", "layout", "powered", "app_runs", "pid", "port")
    rows = [[one.get(key) for key in keys] for one in devices]
    out.emit(
        {"devices": devices},
        lambda: (
            table("", columns, rows)
            if rows
            else "There are no virtual devices. `smpdfu virtual new desk --demo` makes one."
        ),
    )


def log(name: Name, out: Output, lines: Lines = None) -> None:
    """Print the console of a device, oldest line first."""
    from smpdfu.virtual.store.devices import read_log

    wanted = read_log(name)[-lines if lines else None :]
    if out.json:
        out.emit({"lines": wanted}, str)
    else:
        for one in wanted:
            print_line(one)


def delete(name: Name, out: Output) -> None:
    """Delete a device and everything in its flash."""
    from smpdfu.virtual.store import devices as store_devices

    store_devices.delete(name)
    out.emit({"deleted": name}, lambda: f"Deleted {name}")


# --- making ---------------------------------------------------------------------------------------------------------


def _recipe(parts: Parts, boot: BootParts, loader: LoaderParts, server: ServerParts) -> Recipe:
    from smpdfu.cli.keys.passphrase import Passphrase, read_key, read_private

    terminal = Passphrase()
    trusted, provisioned = (
        tuple(read_key(path, terminal).public.to_pem().decode() for path in paths or ())
        for paths in (parts.key, parts.net_key)
    )
    secret = None
    if parts.enc_key is not None:
        secret = read_private(parts.enc_key, terminal, "decryption by the bootloader").to_private_pem().decode()
    blank, resources = boot.recipe(loader), server.resources()
    number = device_number(parts.device_id)
    return replace(
        blank, sign_keys=trusted, net_keys=provisioned, enc_key=secret, resources=resources, device_id=number
    )


def _is_protected(key: Path) -> bool:
    from smpdfu.image.files import read_bounded
    from smpdfu.image.keys.keys import is_encrypted

    return is_encrypted(read_bounded(key))


def _read_loads(parts: Parts) -> list[tuple[str, Firmware]]:
    from smpdfu.image.files import read_firmware

    files = (("app", parts.app), ("net", parts.net))
    return [(core, read_firmware(path)) for core, path in files if path is not None]


def _last_error(name: str) -> str:
    from smpdfu.virtual.store.devices import read_log

    errors = [line for line in read_log(name) if line.startswith("E: ")]
    return errors[-1].removeprefix("E: ") if errors else "its code is linked for another address than the primary slot"


# --- running --------------------------------------------------------------------------------------------------------


def _announce(device: VirtualNrf5340, out: Output, port: str) -> None:
    """Print the port as one line that a script can read."""
    import json

    from smpdfu.virtual.store.devices import StoredDevice

    kept = device if isinstance(device, StoredDevice) else None
    if kept is not None:
        kept.announce(port)
    typer.echo(json.dumps({"name": device.name, "port": port}) if out.json else port)
    if kept is not None:
        out.say(f"{device.name} runs at {port}. Press Ctrl-C to stop it")


def _console_line(line: str) -> None:
    sys.stderr.write(door.line(line) + "\n")
    sys.stderr.flush()


def _stop_by_signal(serving: asyncio.Future[list[None]]) -> None:
    """End normally at Ctrl-C and SIGTERM: that is how people stop a device."""
    with suppress(NotImplementedError):  # Windows has no pseudo terminals either
        for number in (signal.SIGINT, signal.SIGTERM):
            serving.get_loop().add_signal_handler(number, serving.cancel)
