"""``package`` of firmware files; that of a build folder stands in ``from_build.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from smpdfu.cli.image.pack.evidence_options import told_parameters
from smpdfu.cli.image.pack.package_options import Inputs
from smpdfu.cli.image.pack.package_output import Job, Made, finish, keys_of
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.making import PackageRequest, pack_parts
from smpdfu.dfu.package.mcuboot import McubootRequest, make_mcuboot_package
from smpdfu.dfu.package.package import Board
from smpdfu.dfu.package.parts import Part, find_parts
from smpdfu.errors import PackageError

__all__ = ["Job", "pack"]


def pack(context: typer.Context, job: Job) -> None:
    """Make a package of a build folder or of firmware files, write its files (without --plan), and show it."""
    job.evidence.check()
    if job.evidence.files:
        job = replace(job, parameters=told_parameters(context))
    if job.build_dir is not None:
        from smpdfu.cli.image.pack.from_build import pack_build_folder  # here: 30 ms that firmware files do not need

        pack_build_folder(context, job, job.build_dir)
    else:
        _pack_files(job)


def _pack_files(job: Job) -> None:
    inputs = job.inputs
    if inputs == Inputs():
        raise typer.BadParameter("nothing to pack: give a build folder, --merged, --app and/or --net, or --mcuboot")
    if job.labels.version is None and (job.who.key is not None or not (inputs.has_mcuboot or inputs.app or inputs.net)):
        raise _no_version()
    _require(job.folder, "'-o' / '--output'")
    request = _request(job) if inputs.has_cores else None
    parts = None if request is None else _parts(request, signs=job.who.key is not None)
    mcuboot = _mcuboot_request(job) if inputs.has_mcuboot else None
    keys = keys_of(job.who)
    if keys.nsib is not None and mcuboot is None and (parts is None or all(one.core is Core.APP for one in parts)):
        raise typer.BadParameter("--nsib-key seals the network core's firmware or MCUboot: give --net or --mcuboot")
    made = []
    if request is not None and parts is not None:
        sealing = keys.nsib if any(one.core is Core.NET for one in parts) else None
        made.append(pack_parts(parts, request, keys.signer, keys.recipient, sealing))
    if mcuboot is not None:
        made.append(make_mcuboot_package(mcuboot, keys.signer, keys.nsib))
    assert job.folder is not None
    files = (inputs.app, inputs.net, inputs.merged, inputs.mcuboot, inputs.mcuboot_s1)
    finish(job, Made(tuple(made)), job.folder, files, ())


def _require(value: object, names: str) -> None:
    if value is None:
        raise typer.BadParameter(f"Missing option {names}. Only a build folder makes it unnecessary")


def _no_version() -> typer.BadParameter:
    names = "'-v' / '--version'"
    return typer.BadParameter(f"Missing option {names}. Only a build folder or signed images make it unnecessary")


def _mcuboot_request(job: Job) -> McubootRequest:
    labels, slots = job.labels, job.slots
    version = labels.version if labels.mcuboot_version is None else labels.mcuboot_version
    counter = labels.security_counter
    if counter == "auto":
        counter = None if version is None else version.auto_counter
    return McubootRequest(
        version,
        s0=job.inputs.mcuboot,
        s1=job.inputs.mcuboot_s1,
        security_counter=counter,
        name=labels.name,
        board=Board(labels.board.rstrip("/")),
        slot_size=slots.app_slot_size,
        header_size=slots.header_size,
        swap_mode=slots.swap_mode,
        release=job.guard.release,
    )


def _request(job: Job) -> PackageRequest:
    """What the options ask for; typer.BadParameter for files that do not go together."""
    inputs, labels, slots, who = job.inputs, job.labels, job.slots, job.who
    if inputs.merged is not None and (inputs.app or inputs.net):
        raise typer.BadParameter("--merged has both cores: do not give --app or --net, too")
    return PackageRequest(
        labels.version,
        app=inputs.app,
        net=inputs.net,
        merged=inputs.merged,
        net_version=labels.net_version,
        security_counter=labels.security_counter,
        tie=labels.tie,
        name=labels.name,
        board=Board(labels.board.rstrip("/")),
        app_address=slots.app_address,
        app_slot_size=slots.app_slot_size,
        net_address=slots.net_address,
        net_slot_size=slots.net_slot_size,
        header_size=slots.header_size,
        swap_mode=slots.swap_mode,
        check_link=not slots.no_link_check,
        encrypt_keylen=who.encrypt_keylen,
        hmac_sha=cast("Any", who.hmac_sha),
        save_enctlv=who.save_enctlv,
        release=job.guard.release,
    )


def _parts(request: PackageRequest, *, signs: bool) -> tuple[Part, ...]:
    """The code of each core, found before a passphrase is asked for."""
    try:
        return find_parts(request, signs=signs)
    except ValueError:  # firmware, and no version for it
        raise _no_version() from None
    except PackageError as error:
        if error.code != "tie-without-net":
            raise
        raise typer.BadParameter("--tie needs the network core's image: give --net or --merged") from None
