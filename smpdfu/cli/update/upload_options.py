"""The options of ``upload``, and the bound on a transfer for every command that has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer


@dataclass(frozen=True, slots=True)
class Target:
    """Where the image goes and what happens to it."""

    image: Annotated[
        int | None,
        typer.Option(
            "-n", "--image", metavar="N", min=0, max=255, help="Image number. [default: chosen from the image]"
        ),
    ] = None
    slot: Annotated[
        int | None,
        typer.Option("--slot", metavar="N", min=0, max=1, help="Slot of the image; the one that does not run."),
    ] = None
    test: Annotated[bool, typer.Option("--test", help="Mark the image for a test at the next boot.")] = False
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="Install the image permanently: on trial first if the device can test it, else at once. The command "
            "says which before the upload.",
        ),
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Continue in spite of errors that the checks found.")] = False
    recovery: Annotated[
        bool,
        typer.Option(
            "--recovery",
            help="The device is in MCUboot's serial recovery: overwrite what runs. -n 0 is the application, -n 3 the "
            "network core, where the bootloader has direct upload. [default: chosen from the image]",
        ),
    ] = False
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="How long a boot may take.")
    ] = 120.0


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """The bound on a transfer."""

    transfer_timeout: Annotated[
        float | None,
        typer.Option(
            "--transfer-timeout",
            metavar="SECONDS",
            min=1,
            help="Stop an upload or download that takes longer; run the command again to continue. [default: stop only "
            "below 16 bytes a second]",
            show_default=False,
        ),
    ] = None

    def words(self) -> list[str]:
        """The option again, for the next call."""
        return [] if self.transfer_timeout is None else ["--transfer-timeout", f"{self.transfer_timeout:g}"]
