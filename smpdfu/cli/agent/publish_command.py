"""``publish``: packages into hawkBit, and a rollout of them.

This file declares the command and imports little, so that ``--help`` is fast. ``publish.py`` does the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.agent.publish_options import NameOptions, RolloutOptions, ServerOptions, TrustedKeys
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.trust_options import NsibOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add ``publish`` to ``app``."""
    command(app, "publish")(publish)


async def publish(
    packages: Annotated[
        list[Path],
        typer.Argument(
            metavar="PACKAGE...",
            help="dfu_application.zip. Of several, each as HARDWARE=FILE: one for each hardware of the devices.",
        ),
    ],
    server: ServerOptions,
    names: NameOptions,
    trust: TrustedKeys,
    nsib: NsibOptions,
    rollout: RolloutOptions,
    out: Output,
) -> None:
    """Publish a package in hawkBit. With --rollout, update the devices behind gateways in groups.

    smpdfu checks the package as `verify` does. Then it makes a software module with the package, and a distribution
    set. Both have the versions and hashes of the images as metadata. If interrupted, run it again: it takes what is
    there with the same content. If the server has another content under this name and version, it refuses (6).

    With --watch, exit code 0: the rollout is finished. 7: it passed its error threshold, or somebody stopped it. Ctrl-C
    ends the command, and the rollout continues.
    """
    from smpdfu.cli.agent.publish import publish_packages

    await publish_packages(packages, server, names, trust, nsib, rollout, out)
