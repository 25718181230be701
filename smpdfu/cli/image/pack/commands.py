"""``package``: make a package of a build folder, or sign the firmware of both cores and pack it as such builds do."""

from __future__ import annotations

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.options import Release
from smpdfu.cli.image.pack.evidence_options import EvidenceFiles
from smpdfu.cli.image.pack.package_keys import PackageKeys
from smpdfu.cli.image.pack.package_options import BuildDir, Inputs, Labels, Output, PlanOnly, Slots
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import HashOutput


def register(app: Group) -> None:
    """Add ``package`` to ``app``."""
    command(app, "package")(package)


def package(
    context: typer.Context,
    inputs: Inputs,
    labels: Labels,
    slots: Slots,
    who: PackageKeys,
    guard: Release,
    evidence: EvidenceFiles,
    replace: Replace,
    out: HashOutput,
    build_dir: BuildDir = None,
    folder: Output = None,
    plan: PlanOnly = False,
) -> None:
    """Make dfu_application.zip of a build folder, or of firmware files.

    A build folder of the nRF Connect SDK says all that must be known: give it and the key. Without -k, smpdfu checks
    the images that the build has signed, and packs them.

    --nsib-key seals the network core's firmware for b0n first. If a build has b0 below MCUboot, smpdfu also writes
    dfu_mcuboot.zip, which updates MCUboot itself.

    -E encrypts the application core's image only: a bootloader with one pair of slots cannot tell an encrypted
    network core's image from an application.

    --sbom and --provenance write the evidence of a release beside the package. `smpdfu verify` checks them later.
    """
    from smpdfu.cli.image.pack.from_files import Job, pack

    pack(context, Job(inputs, labels, slots, who, guard, replace, out, build_dir, folder, plan, evidence))
