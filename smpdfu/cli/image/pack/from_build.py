"""``package BUILD_DIR``: the package of a build folder, and what the build says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.image.pack.package_options import Inputs
from smpdfu.cli.image.pack.package_output import Job, Made, finish, keys_of, show
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.packing.making import BuildRequest, pack_build, pack_build_mcuboot
from smpdfu.dfu.build_folder.packing.named_keys import encryption_key_of
from smpdfu.dfu.build_folder.packing.overrides import BuildOverrides, overridden
from smpdfu.dfu.build_folder.table import facts_of
from smpdfu.dfu.package.made import PACKAGE_NAME, PackageWarning
from smpdfu.dfu.package.mcuboot import PACKAGE_NAME as MCUBOOT_PACKAGE
from smpdfu.dfu.package.multi_image import FILE_NAME
from smpdfu.errors import PackageError

_WRITTEN = (PACKAGE_NAME, FILE_NAME, MCUBOOT_PACKAGE)
_OWN_FOLDER = "smpdfu"
"""In a build folder: beside what the build writes, so that nothing of it is replaced."""


def pack_build_folder(context: typer.Context, job: Job, path: Path) -> None:
    """Make the package of the build folder ``path``, write its files (without --plan), and show what was found."""
    if job.inputs != Inputs():
        raise typer.BadParameter(
            "a build folder has the firmware: do not give --app, --net, --merged or --mcuboot, too"
        )
    if job.who.encrypt is not None and job.who.key is None:
        raise typer.BadParameter("-E needs -k: only an image that is signed now can be encrypted")
    request = _build_request(context, job)
    build = find_build(path)  # before a passphrase is asked for
    found = facts_of(overridden(build, request.overrides))
    made = _made(job, build, request)
    folder = path / _OWN_FOLDER if job.folder is None else job.folder
    updates = (*build.updates, *build.mcuboot_updates)
    inputs = [build.root / name for one in updates for name in (one.unsigned, one.signed) if name is not None]
    inputs += [build.root / place / name for place in ("", "zephyr") for name in _WRITTEN]
    if made is None:
        warnings = [one.message for one in overridden(build, request.overrides).warnings]
        show(job, (), [*warnings, _UNSIGNED], found, folder)
    else:
        finish(job, made, folder, tuple(inputs), found)


_UNSIGNED = "the build has no signed images for a package: give the key with -k"


def _made(job: Job, build: Build, request: BuildRequest) -> Made | None:
    """The packages; None where only the plan is wanted, and a key is what is missing for more."""
    keys = keys_of(job.who)
    recipient = keys.recipient
    named = None if keys.signer is None or recipient is not None else encryption_key_of(build)
    if named is not None:
        recipient = read_recipient(named, job.who.source())
    try:
        made = pack_build(build, request, keys.signer, recipient, keys.nsib)
        mcuboot = pack_build_mcuboot(build, request, keys.signer, keys.nsib)
    except PackageError as error:
        if job.plan and error.code == "build-not-signed":
            return None
        raise
    if isinstance(mcuboot, PackageWarning):
        return Made((made,), (mcuboot,))
    return Made((made,) if mcuboot is None else (made, mcuboot))


def _build_request(context: typer.Context, job: Job) -> BuildRequest:
    """What the options ask for. A value counts only if a person gave it: the build has its own."""

    def given(name: str, value: Any) -> Any:
        source = context.get_parameter_source(name)
        return value if source is not None and source.name != "DEFAULT" else None

    labels, slots, who = job.labels, job.slots, job.who
    places = ("app_address", "app_slot_size", "net_address", "net_slot_size", "header_size", "swap_mode")
    board = given("board", labels.board)
    return BuildRequest(
        overrides=BuildOverrides(
            version=labels.version,
            net_version=labels.net_version,
            mcuboot_version=labels.mcuboot_version,
            security_counter=labels.security_counter,
            board=None if board is None else board.rstrip("/"),
            **{name: given(name, getattr(slots, name)) for name in places},
        ),
        tie=labels.tie,
        name=labels.name,
        check_link=not slots.no_link_check,
        encrypt_keylen=given("encrypt_keylen", who.encrypt_keylen),
        hmac_sha=cast("Any", who.hmac_sha),
        save_enctlv=who.save_enctlv,
        release=job.guard.release,
    )
