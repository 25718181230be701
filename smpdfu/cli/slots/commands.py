"""Commands of one device beside ``list``: ``upload test confirm reset info erase echo``. Bodies stand elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.trust_options import NsibOptions, TrustOptions
from smpdfu.cli.slots import list_command
from smpdfu.cli.slots.restart_options import Restart
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import HashOutput, Output
from smpdfu.cli.update.bootloader_options import BootloaderOptions
from smpdfu.cli.update.upload_options import Target, TransferOptions

HashArgument = Annotated[str | None, typer.Argument(metavar="[HASH]", help="Hash of the image, or its beginning.")]
ImageOption = Annotated[int | None, typer.Option("-n", "--image", metavar="N", min=0, max=255, help="Image number.")]
SlotOption = Annotated[
    int | None, typer.Option("--slot", metavar="N", min=0, max=1, help="Slot of the image: 0 primary, 1 secondary.")
]


def register(app: Group) -> None:
    """Add the commands to ``app``; those about images also under mcumgr's words, ``smpdfu image ...``."""
    images: dict[str, Callable[..., Any]] = {
        "upload": upload,
        "test": mark_test,
        "confirm": confirm,
        "erase": erase,
    }
    under_image = Group("The image commands, grouped as in mcumgr.")
    list_command.register(under_image)
    for name, function in images.items():
        command(app, name)(function)
        command(under_image, name)(function)
    others: tuple[Callable[..., Any], ...] = (reset, echo, info)
    for function in others:
        command(app, function.__name__)(function)
    app.add_group("image", under_image)


async def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed image, .bin or .hex.")],
    target: Target,
    bootloader: BootloaderOptions,
    trust: TrustOptions,
    nsib: NsibOptions,
    how: TransferOptions,
    conn: Connection,
    out: Output,
) -> None:
    """Upload an image, and with --confirm install it. If it is interrupted, run the same command again to continue."""
    from smpdfu.cli.update.upload import upload_image

    await upload_image(file, target, bootloader, trust, nsib, how, conn, out)


async def mark_test(conn: Connection, out: HashOutput, hash_: HashArgument = None, image: ImageOption = None) -> None:
    """Mark an image for a test at the next boot. Without HASH, it marks the one in the slot that does not run."""
    from smpdfu.cli.slots.marks import mark_for_test

    await mark_for_test(conn, out, hash_, image)


async def confirm(conn: Connection, out: HashOutput, hash_: HashArgument = None, image: ImageOption = None) -> None:
    """Confirm the running image, or make another one permanent. With the HASH of another image, there is no test.

    An empty HASH is the running image, as for mcumgr.
    """
    from smpdfu.cli.slots.marks import confirm_image

    await confirm_image(conn, out, hash_, image)


async def erase(conn: Connection, out: HashOutput, image: ImageOption = None, slot: SlotOption = None) -> None:
    """Erase a slot; without options, the one that does not run."""
    from smpdfu.cli.slots.marks import erase_slot

    await erase_slot(conn, out, image, slot)


async def reset(conn: Connection, out: HashOutput, how: Restart) -> None:
    """Restart the device, wait for it, and show what runs. The bootloader installs a pending image.

    If an image was pending, the last line says what became of it. Exit code 7: the bootloader did not install it.
    """
    from smpdfu.cli.slots.reset import restart_device

    await restart_device(conn, out, how)


async def echo(
    conn: Connection, out: Output, text: Annotated[str, typer.Argument(metavar="TEXT", help="What to send.")]
) -> None:
    """Send a text to the device and print what comes back."""
    from smpdfu.cli.slots.echo import echo_text

    await echo_text(conn, out, text)


async def info(
    conn: Connection,
    out: Output,
    bootloader: BootloaderOptions,
    letters: Annotated[
        str | None,
        typer.Option("--format", metavar="LETTERS", help="Only the line for these letters of snrvbmpio; a: for all."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Restart the device first, to read what its bootloader prints.")
    ] = False,
) -> None:
    """Show what the device reports about itself. This is its firmware, bootloader, buffers and slots.

    No answer tells the bootloader's release. What is known of it, and why, is under "bootloader from".
    """
    from smpdfu.cli.slots.info import show_info

    await show_info(conn, out, bootloader, letters, reset=reset)
