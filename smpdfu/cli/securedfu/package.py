"""``secure-dfu package``: reads the firmware, lets the library check and make the package, and writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.ending import conclude
from smpdfu.cli.keys.passphrase import read_signer
from smpdfu.cli.securedfu.findings import finding_entry, say_findings
from smpdfu.cli.securedfu.order import read_order
from smpdfu.cli.securedfu.package_options import DeviceFacts, Files, Requirements, SigningKey, Zigbee
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import check_outputs
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.errors import PlanError
from smpdfu.image.files import write_file_atomic
from smpdfu.image.secure_dfu.facts import packet_facts
from smpdfu.image.secure_dfu.package import Entry
from smpdfu.image.secure_dfu.softdevices import softdevice_words
from smpdfu.image.signers import shown_key
from smpdfu.image.signing.release import key_warnings
from smpdfu.securedfu.findings import Finding, errors_of
from smpdfu.securedfu.making.checks import order_findings
from smpdfu.securedfu.making.making import make_package, refuse

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.keys.passphrase import SigningKey as Signer


@dataclass(frozen=True, slots=True)
class Job:
    """What the options say."""

    files: Files
    needs: Requirements
    device: DeviceFacts
    who: SigningKey
    zigbee: Zigbee
    target: Path
    force: bool
    release: bool


def make_file(job: Job, out: Output) -> None:
    """Make a package and write it. With errors among the findings nothing is written, unless ``force``."""
    job.zigbee.refuse()
    order = read_order(job.files, job.needs, job.device)
    if not job.force:
        check_outputs([job.target], _inputs(job), "; use --force if you want to replace it")
    found = order_findings(order)
    if errors_of(found) and not job.force:  # before anybody types a passphrase
        _refuse(found, out)
    key = None if job.who.key is None else read_signer(job.who.key, job.who.source())
    if job.release:
        key_warnings([] if key is None else [key], None, release=True)
    found = order_findings(order, key)
    if errors_of(found) and not job.force:
        _refuse(found, out)
    made = make_package(order, key, force=job.force)
    say_findings(made.findings, out)
    data = made.package.to_bytes()
    write_file_atomic(job.target, data, replace_keys=job.force)
    answer = {
        "file": job.target,
        "size_bytes": len(data),
        "images": [_entry(one) for one in made.package.entries],
        "findings": [finding_entry(one) for one in made.findings],
    }
    conclude(out, answer, lambda: _told(made.package.entries, job, key), None)


def _inputs(job: Job) -> tuple[Path | str | None, ...]:
    files, who = job.files, job.who
    return (
        files.application, files.bootloader, files.softdevice, job.device.for_bootloader, who.key, who.passphrase_file
    )  # fmt: skip


def _refuse(found: tuple[Finding, ...], out: Output) -> None:
    """Say all of it, and end."""
    say_findings(found, out)
    try:
        refuse(found)
    except PlanError as error:
        if not out.json:
            raise
        conclude(out, {"file": None, "findings": [finding_entry(one) for one in found]}, lambda: "", error)


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "name": one.name,
        "bin_file": one.bin_file,
        "dat_file": one.dat_file,
        "size_bytes": one.size_bytes,
        "packet": packet_facts(one.init_packet),
    }


def _told(entries: tuple[Entry, ...], job: Job, key: Signer | None) -> RenderableType:
    rows: list[tuple[str, object]] = []
    for one in entries:
        said = packet_facts(one.init_packet)
        rows += [
            (one.name.replace("_", " and "), f"{one.size_bytes} bytes, version {said.fw_version}"),
            ("hash", said.hash),
            ("SoftDevice", ", ".join(map(softdevice_words, said.softdevices)) or "none"),
        ]
    name = "no key" if job.who.key is None or key is None else shown_key(job.who.key)
    return facts([*rows, ("signed with", name), ("written", job.target)])


def target_of(output: Path | None, argument: Path | None) -> Path:
    """Where the package goes: -o, or nrfutil's argument. typer.BadParameter for none or both."""
    if output is not None and argument is not None:
        raise typer.BadParameter(f"two packages to write, {output} and {argument}: give one of them")
    found = output or argument
    if found is None:
        raise typer.BadParameter("name the package to write: with -o FILE, or as the last word")
    return found
