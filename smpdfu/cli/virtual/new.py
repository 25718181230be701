"""``virtual new``: make a device, load its firmware and show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, words
from smpdfu.cli.virtual.b0 import B0Given, place_b0, read_b0
from smpdfu.cli.virtual.flash import place
from smpdfu.cli.virtual.nrf52.new import new_nrf52, refuse_dfu_options, refuse_other_options
from smpdfu.cli.virtual.options.b0 import B0Parts
from smpdfu.cli.virtual.options.boot import BootParts, LoaderParts
from smpdfu.cli.virtual.options.device import Parts, ServerParts
from smpdfu.cli.virtual.options.recipe import recipe
from smpdfu.cli.virtual.options.secure_dfu import SecureDfuParts
from smpdfu.cli.virtual.refused_name import refused_name
from smpdfu.cli.virtual.view import look, rendered, with_holder
from smpdfu.image.files import Firmware, read_bounded, read_firmware
from smpdfu.image.keys.pem_text import is_encrypted
from smpdfu.virtual.nrf52.layout import LAYOUTS as NRF52_LAYOUTS
from smpdfu.virtual.report import Report
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.devices import Recipe


def new_device(
    name: str,
    parts: Parts,
    boot: BootParts,
    loader: LoaderParts,
    b0: B0Parts,
    server: ServerParts,
    dfu: SecureDfuParts,
    out: Output,
    *,
    build: Path | None = None,
    given: Callable[[str], bool],
    demo: bool = False,
) -> None:
    """Make a device and show it; with ``demo``, a board to try with its key, its packages and the commands to try.

    With ``build``, the board of that build folder; ``given`` tells which options a person gave. Raises
    typer.BadParameter, SmpdfuError or OSError; then no device is left.
    """
    if boot.layout in NRF52_LAYOUTS:
        refuse_other_options(given)
        new_nrf52(name, parts, boot.layout, server.time_factor, dfu, out)
        return
    refuse_dfu_options(given)
    if demo:
        if build is not None:
            raise typer.BadParameter("--demo makes its own firmware. Leave out --build, or leave out --demo")
        if b0 != B0Parts():
            raise typer.BadParameter("--demo makes a board without b0. Leave out the options for b0")
        _new_demo(name, parts, boot, loader, server, out)
        return
    of_build = b0
    if build is None:
        made = recipe(parts, boot, loader, server)
    else:
        parts, of_build, made = _of_build(build, given, parts, boot, loader, b0, server)
    try:
        layout = made.make_layout()
    except ValueError as error:
        raise refused_name(name, error) from None
    found = _create(name, parts, made, out, read_b0(b0 if layout.nsib is None else of_build, layout))
    out.emit(with_holder(found), lambda: rendered(found))
    if parts.app is None:
        for line in _without_firmware(name, trusts_key=bool(made.sign_keys)):
            out.say(line)


def _of_build(
    build: Path,
    given: Callable[[str], bool],
    parts: Parts,
    boot: BootParts,
    loader: LoaderParts,
    b0: B0Parts,
    server: ServerParts,
) -> tuple[Parts, B0Parts, Recipe]:
    from smpdfu.cli.virtual.options.from_build import board_recipe  # here: an eighth of `new`, for builds only

    return board_recipe(build, given, parts, boot, loader, b0, server)


def _new_demo(name: str, parts: Parts, boot: BootParts, loader: LoaderParts, server: ServerParts, out: Output) -> None:
    from smpdfu.cli.virtual.demo import Demo  # here: 14 ms, which a board without a demo does not pay

    if replace(parts, device_id=None) != Parts() or boot != BootParts() or loader != LoaderParts():
        raise typer.BadParameter(
            "--demo chooses the keys, the firmware and the bootloader itself. Leave out the options for them"
        )
    demo = Demo(name)
    try:
        demo.check()
    except ValueError as error:
        raise refused_name(name, error) from None
    demo.make_files()
    own = replace(parts, key=[demo.sign_key], app=demo.image("app"), net=demo.image("net"))
    try:
        found = _create(name, own, recipe(own, boot, loader, server), out)
    except BaseException:
        demo.remove_files()
        raise
    commands = [{"command": step.command, "does": step.sentence} for step in demo.steps]
    out.emit(
        with_holder(found) | {"demo": {"folder": demo.folder, "commands": commands}},
        lambda: words("\n".join(demo.lines())),
    )


def _create(name: str, parts: Parts, made: Recipe, out: Output, b0: B0Given | None = None) -> Report:
    """Make the device, load its firmware and start it; no device is left if that fails."""
    loads = _read_loads(parts)
    try:
        store_devices.create(name, made)
    except ValueError as error:
        raise refused_name(name, error) from None
    if parts.enc_key is not None and _is_protected(parts.enc_key):
        out.warn(
            f"smpdfu stores the key {parts.enc_key} without its passphrase in "
            f"{store_devices.home() / name / 'device.json'}. Only you can read that file. Use a key that is made for "
            "tests"
        )
    try:
        with store_devices.open_device(name, switch_on=False) as device:
            if b0 is not None:
                place_b0(device, b0)
            for core, firmware in loads:
                place(device, core, firmware, out)
            device.reset()
    except BaseException:
        store_devices.delete(name)
        raise
    found = look(name)
    if parts.app is not None and not found.app_runs:
        out.warn(f"the device does not start this application: {_last_error(name, found)}")
    return found


def _without_firmware(name: str, *, trusts_key: bool) -> list[str]:
    """What a device without an application needs, and the commands for it."""
    lines = [f"{name} has no application and answers no command."]
    if not trusts_key:
        lines.append("Its bootloader trusts no key. Delete it and make it again with -k KEY and --app FILE:")
        lines.append(f"`smpdfu virtual delete {name}`, then `smpdfu virtual new {name} -k KEY --app FILE`.")
    else:
        lines.append(f"Load a signed image: `smpdfu virtual load {name} app_update.bin`.")
    return [*lines, "For a board with everything: `smpdfu virtual new demo --demo`."]


def _is_protected(key: Path) -> bool:
    return is_encrypted(read_bounded(key))


def _read_loads(parts: Parts) -> list[tuple[str, Firmware]]:
    files = (("app", parts.app), ("external", parts.external), ("loader", parts.loader), ("net", parts.net))
    return [(core, read_firmware(path)) for core, path in files if path is not None]


def _last_error(name: str, found: Report) -> str:
    errors = [line for line in store_devices.read_log(name) if line.startswith("E: ")]
    if errors:
        return errors[-1].removeprefix("E: ")
    elsewhere = "its code is linked for another address than the primary slot"
    return elsewhere if found.external_half is None else f"{elsewhere}, or its two halves are of different builds"
