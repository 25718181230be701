"""``fs``: files in the device's file systems. ``fs_files.py`` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app.command import Connection
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.update.upload_options import TransferOptions

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Path on the device, such as /lfs1/log.txt.")]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Continue an earlier transfer if a hash proves that its part is right."),
]


def register(app: Group) -> None:
    """Add the commands to ``app``."""
    group = Group("Upload, download and check files in the device's file systems.")
    command(group, "upload")(upload)
    command(group, "download")(download)
    command(group, "stat")(stat)
    command(group, "hash")(hash_file)
    command(group, "types")(types)
    command(group, "close")(close)
    app.add_group("fs", group)


async def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File on this computer.")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Path on the device. If it ends with /, smpdfu adds the name of FILE.")
    ],
    how: TransferOptions,
    conn: Connection,
    out: Output,
    resume: ResumeOption = True,
) -> None:
    """Copy a file to the device, and compare its hash there with the hash here."""
    from smpdfu.cli.device.fs_files import send_file

    await send_file(conn, out, file, name, resume=resume, transfer_timeout_s=how.transfer_timeout)


async def download(
    name: NameArgument,
    how: TransferOptions,
    conn: Connection,
    out: Output,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="File on this computer. Default: the last part of NAME.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="The same as FILE. - is stdout.")
    ] = None,
    resume: ResumeOption = True,
) -> None:
    """Copy a file from the device. FILE appears only when it is complete and has the hash of the device's file."""
    from smpdfu.cli.device.fs_files import fetch_file

    await fetch_file(conn, out, name, file, output, resume=resume, transfer_timeout_s=how.transfer_timeout)


async def stat(name: NameArgument, conn: Connection, out: Output) -> None:
    """Show how long a file is."""
    from smpdfu.cli.device.fs_files import show_length

    await show_length(conn, out, name)


async def hash_file(
    name: NameArgument,
    conn: Connection,
    out: Output,
    kind: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="Kind of hash; see `fs types`. Default: the device's first kind."),
    ] = None,
    off: Annotated[int | None, typer.Option("--off", metavar="N", min=0, help="Start at this byte.")] = None,
    length: Annotated[
        int | None, typer.Option("--len", metavar="N", min=1, help="Number of bytes. Default: all.")
    ] = None,
) -> None:
    """Show the hash or checksum of a file, which the device computes."""
    from smpdfu.cli.device.fs_files import show_hash

    await show_hash(conn, out, name, kind, off, length)


async def types(conn: Connection, out: Output) -> None:
    """Show which kinds of hash the device can compute."""
    from smpdfu.cli.device.fs_files import show_hash_types

    await show_hash_types(conn, out)


async def close(conn: Connection, out: Output) -> None:
    """Make the device close the file that a transfer left open."""
    from smpdfu.cli.device.fs_files import close_file

    await close_file(conn, out)
