"""``affected``: which devices run an image, by the logs and journals on this computer.

This file declares the command and imports little, so that ``--help`` is fast. ``affected.py`` does the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add ``affected`` to ``app``."""
    command(app, "affected")(affected)


def affected(
    out: Output,
    fleets: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FLEET.toml",
            help="Search these fleets. Default: all fleets and devices that this computer has updated.",
            autocompletion=completion.fleet_files,
        ),
    ] = None,
    hashes: Annotated[
        list[str] | None,
        typer.Option(
            "--hash",
            metavar="HASH",
            help="Hash of an image as devices list it, SHA-256 of its file, or digest of a package. At least 8 digits.",
        ),
    ] = None,
    sboms: Annotated[
        list[Path] | None,
        typer.Option("--sbom", metavar="SBOM", help="SBOM of a release (CycloneDX JSON), or a folder of SBOMs."),
    ] = None,
    component: Annotated[
        str | None,
        typer.Option(
            "--component",
            metavar="NAME[@VERSION]",
            help="Component in the SBOMs: name, package URL or CPE. VERSION may be a range: <3.6.2 or >=3.0,<3.6.2.",
        ),
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="Show every device, and whole hashes.")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write a CSV table of the devices.")
    ] = None,
) -> None:
    """Show which devices run an image, by the logs and journals on this computer. It asks no device.

    An image is found by its hash. smpdfu notes it with each update; logs of older releases have none, and their devices
    are unknown, never "not affected". With --component, a device is unknown too if no SBOM describes what it runs: give
    the SBOMs of all releases.

    Exit code 0: no device is affected, and all are known. 10: some devices are affected. 11: none is known to be
    affected, and some are unknown.
    """
    from smpdfu.cli.fleet.affected import show_affected

    show_affected(out, fleets or [], hashes or [], sboms or [], component, csv, long=long)
