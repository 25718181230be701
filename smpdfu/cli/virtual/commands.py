"""``smpdfu virtual``: make, run and inspect virtual nRF5340 devices; and ``smpdfu tutorial``.

This file declares the commands and imports little, so that ``--help`` is fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.virtual.options.b0 import B0Parts
from smpdfu.cli.virtual.options.boot import BootParts, LoaderParts
from smpdfu.cli.virtual.options.device import Parts, ServerParts, Torn
from smpdfu.cli.virtual.options.secure_dfu import SecureDfuParts
from smpdfu.cli.virtual.options.wires import WireParts, Wires

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The device's name.", autocompletion=completion.virtual_names)
]
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="The devices' names.", autocompletion=completion.virtual_names),
]
Lines = Annotated[int | None, typer.Option("-n", "--lines", metavar="N", min=1, help="Print only the last N lines.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Intel HEX files or signed images.")]
Place = Annotated[
    str | None,
    typer.Option(
        "--region", metavar="REGION", help="Name of a part of the device's layout: primary, secondary, 'net app', ..."
    ),
]
Start = Annotated[str | None, typer.Option("--address", metavar="N", help="First address.")]
Size = Annotated[
    str | None, typer.Option("--size", metavar="BYTES", help="Number of bytes, with --address. [default: 256]")
]
OutFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write a .hex or .bin file instead of a hex dump.")
]
After = Annotated[
    int | None, typer.Option("--after", metavar="N", min=0, help="Number of flash operations that still succeed.")
]
Button = Annotated[
    bool, typer.Option("--button", help="Hold the button that starts the firmware loader, or the DFU mode of an nRF52.")
]
Off = Annotated[bool, typer.Option("--off", help="Cancel the power cut.")]
Tearing = Annotated[
    Torn,
    typer.Option(
        "--tear",
        help="Which part of the interrupted operation takes effect: the lower half, the upper half, or nothing.",
    ),
]


def register(app: Group) -> None:
    """Add the commands to ``app``."""
    room = Group("Make, run and inspect virtual nRF5340 devices.")
    for function in (new, run, reset, show, log, delete, load, dump, cut):
        command(room, function.__name__)(function)
    command(room, "list")(list_devices)
    app.add_group("virtual", room)
    command(app, "tutorial")(tutorial)


def new(
    context: typer.Context,
    name: Name,
    parts: Parts,
    boot: BootParts,
    loader: LoaderParts,
    b0: B0Parts,
    server: ServerParts,
    dfu: SecureDfuParts,
    out: Output,
    build: Annotated[
        Path | None,
        typer.Option(
            "--build",
            metavar="BUILD_DIR",
            help="Make the board of this build folder of the nRF Connect SDK: its partitions, bootloaders, keys and "
            "firmware. Other options replace what the folder says.",
        ),
    ] = None,
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

    --layout nrf52840-secure-dfu makes an nRF52 with the secure bootloader of the nRF5 SDK instead.
    """
    from smpdfu.cli.virtual.new import new_device

    def given(option: str) -> bool:
        source = context.get_parameter_source(option)
        return source is not None and source.name != "DEFAULT"

    new_device(name, parts, boot, loader, b0, server, dfu, out, build=build, given=given, demo=demo)


def run(names: Names, out: Output, wires: Wires, wire: WireParts) -> None:
    """Run virtual devices until you press Ctrl-C.

    Prints their ports on stdout, and their consoles on stderr.
    """
    from smpdfu.cli.virtual.run import run_devices

    run_devices(names, out, wires, wire)


def reset(name: Name, out: Output, button: Button = False) -> None:
    """Turn a device off and on. RAM is lost, and the bootloader runs."""
    from smpdfu.cli.virtual.view import reset_device

    reset_device(name, out, button=button)


def show(name: Name, out: Output) -> None:
    """Show both cores: whether they run, slots, versions and trailers."""
    from smpdfu.cli.virtual.view import show_device

    show_device(name, out)


def list_devices(out: Output) -> None:
    """List the virtual devices."""
    from smpdfu.cli.virtual.view import list_devices as show_list

    show_list(out)


def log(name: Name, out: Output, lines: Lines = None) -> None:
    """Print the console of a device, oldest line first."""
    from smpdfu.cli.virtual.log import print_log

    print_log(name, out, lines)


def delete(name: Name, out: Output) -> None:
    """Delete a device, everything in its flash, and the journal of its updates."""
    from smpdfu.cli.virtual.delete import delete_device

    delete_device(name, out)


def load(name: Name, files: Files, out: Output, region: Place = None) -> None:
    """Write files into the flash of a device as a debugger does, and reset the device.

    Intel HEX goes to its own addresses. A signed image goes into the slot that it is linked for, or into --region.
    """
    from smpdfu.cli.virtual.flash import load_files

    load_files(name, files, out, region)


def dump(
    name: Name, out: Output, region: Place = None, address: Start = None, size: Size = None, output: OutFile = None
) -> None:
    """Print a part of a device's flash, or write it to a file.

    Without --region or --address: everything that is not blank.
    """
    from smpdfu.cli.virtual.flash import dump_flash

    dump_flash(name, out, region, address, size, output)


def cut(name: Name, out: Output, after: After = None, tear: Tearing = Torn.LOWER, off: Off = False) -> None:
    """Cut the power of a device after N more flash operations, in the middle of the next one.

    `smpdfu virtual reset NAME` turns it on again.
    """
    from smpdfu.cli.virtual.flash import cut_power

    cut_power(name, out, after, tear, off=off)


def tutorial(
    out: Output,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the virtual board.")] = "desk",
    run: Annotated[bool, typer.Option("--run", help="Run all commands without asking.")] = False,
) -> None:
    """Learn the first commands on a virtual board. You need no hardware.

    In a terminal, each command runs after you press Enter. Otherwise the tutorial prints all commands and runs none.
    It uses only the virtual board NAME and the folder NAME-demo in the current folder.
    """
    from smpdfu.cli.virtual.tutorial import run_tutorial

    run_tutorial(out, name, run=run)
