"""``package BUILD_DIR``: the package of a build folder, and what the build says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import typer

from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.image.package_options import Inputs
from smpdfu.cli.image.package_output import Job, finish, keys_of, show
from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.dfu.build_folder.making import BuildRequest, pack_build
from smpdfu.dfu.build_folder.named_keys import encryption_key_of
from smpdfu.dfu.build_folder.overrides import BuildOverrides, overridden
from smpdfu.dfu.build_folder.table import facts_of
from smpdfu.dfu.package.making import PACKAGE_NAME, MadePackage
from smpdfu.dfu.package.multi_image import FILE_NAME
from smpdfu.errors import PackageError

_OWN_FOLDER = "smpdfu"
"""In a build folder: beside what the build writes, so that nothing of it is replaced."""


def pack_build_folder(context: typer.Context, job: Job, path: Path) -> None:
    """Make the package of the build folder ``path``, write its files (without --plan), and show what was found."""
    if job.inputs != Inputs():
        raise typer.BadParameter("a build folder has the firmware: do not give --app, --net or --merged, too")
    if job.who.encrypt is not None and job.who.key is None:
        raise typer.BadParameter("-E needs -k: only an image that is signed now can be encrypted")
    request = _build_request(context, job)
    build = find_build(path)  # before a passphrase is asked for
    found = facts_of(overridden(build, request.overrides))
    made = _made(job, build, request)
    folder = path / _OWN_FOLDER if job.folder is None else job.folder
    inputs = [build.root / name for one in build.updates for name in (one.unsigned, one.signed) if name is not None]
    inputs += [build.root / place / name for place in ("", "zephyr") for name in (PACKAGE_NAME, FILE_NAME)]
    if made is None:
        warnings = [one.message for one in overridden(build, request.overrides).warnings]
        show(job, None, [*warnings, _UNSIGNED], found, folder)
    else:
        finish(job, made, folder, tuple(inputs), found)


_UNSIGNED = "the build has no signed images for a package: give the key with -k"


def _made(job: Job, build: Build, request: BuildRequest) -> MadePackage | None:
    """The package; None where only the plan is wanted, and a key is what is missing for more."""
    signer, recipient = keys_of(job.who)
    named = None if signer is None or recipient is not None else encryption_key_of(build)
    if named is not None:
        recipient = read_recipient(named, job.who.source())
    try:
        return pack_build(build, request, signer, recipient)
    except PackageError as error:
        if job.plan and error.code == "build-not-signed":
            return None
        raise


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
