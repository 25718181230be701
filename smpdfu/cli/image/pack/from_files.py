"""``package`` of firmware files; that of a build folder stands in ``from_build.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import typer

from smpdfu.cli.image.pack.evidence_options import told_parameters
from smpdfu.cli.image.pack.package_options import Inputs
from smpdfu.cli.image.pack.package_output import Job, finish, keys_of
from smpdfu.dfu.package.making import PackageRequest, pack_parts
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
    if job.inputs != Inputs() or job.labels.version is not None:
        _require(job.labels.version, "'-v' / '--version'")
        _require(job.folder, "'-o' / '--output'")
    request = _request(job)
    parts = _parts(request)
    made = pack_parts(parts, request, *keys_of(job.who))
    assert job.folder is not None
    finish(job, made, job.folder, (job.inputs.app, job.inputs.net, job.inputs.merged), ())


def _require(value: object, names: str) -> None:
    if value is None:
        raise typer.BadParameter(f"Missing option {names}. Only a build folder makes it unnecessary")


def _request(job: Job) -> PackageRequest:
    """What the options ask for; typer.BadParameter for files that do not go together."""
    inputs, labels, slots, who = job.inputs, job.labels, job.slots, job.who
    if inputs == Inputs():
        raise typer.BadParameter("nothing to pack: give a build folder, --merged, or --app and/or --net")
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


def _parts(request: PackageRequest) -> tuple[Part, ...]:
    """The code of each core, found before a passphrase is asked for."""
    try:
        return find_parts(request)
    except PackageError as error:
        if error.code != "tie-without-net":
            raise
        raise typer.BadParameter("--tie needs the network core's image: give --net or --merged") from None
