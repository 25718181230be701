"""``virtual new --build``: what the build folder says takes the place of options that a person did not give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.update.bootloader_options import PartitionsChoice
from smpdfu.cli.virtual.options.b0 import B0Parts
from smpdfu.cli.virtual.options.boot import (
    AddressChoice,
    BootParts,
    EntranceChoice,
    KeyLength,
    LoaderParts,
    Mode,
    Prevention,
)
from smpdfu.cli.virtual.options.device import ConfirmsOthers, Erasing, Parts, ServerParts
from smpdfu.cli.virtual.options.recipe import recipe
from smpdfu.dfu.build_folder.board import Board, board_of
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.virtual.store.devices import Recipe

Given = Callable[[str], bool]
"""Whether a person gave the option with this name."""


def board_recipe(
    path: Path, given: Given, parts: Parts, boot: BootParts, loader: LoaderParts, b0: B0Parts, server: ServerParts
) -> tuple[Parts, B0Parts, Recipe]:
    """Return the device of a build folder, its keys and firmware, and what is below MCUboot if NSIB is there.

    Options that a person gave win.

    Raises typer.BadParameter for what neither says and is needed, PackageError, SigningError and OSError.
    """
    board = board_of(find_build(path))
    _ask(board, path, given)
    parts = _parts(board, given, parts)
    made = recipe(parts, _boot(board, given, boot), _loader(board, given, loader), _server(board, given, server))
    # What no option says.
    made = replace(
        made,
        resources=replace(made.resources, board=board.server.board),
        options=replace(made.options, recovers=board.options.recovers),
    )
    if not given("layout"):
        made = replace(made, layout=board.name, partitions=board.partitions, net_app=board.net_app)
    if not given("key") and board.keys.built_in is not None:
        made = replace(made, sign_keys=(board.keys.built_in,))
    return parts, _b0(board, given, b0), made


def _ask(board: Board, path: Path, given: Given) -> None:
    """Raise typer.BadParameter with the option for what the folder does not say."""
    keys = board.keys
    knows_key = not keys.signs or keys.built_in is not None or keys.sign is not None
    missing = (
        (board.partitions is not None, "layout", "in which memory its partitions are", "--layout FILE"),
        (board.mode is not None, "mode", "the mode of its MCUboot", "--mode"),
        (knows_key, "key", "the key that its MCUboot trusts", "-k KEY"),
        (
            not keys.encrypts or keys.encryption is not None,
            "enc_key",
            "the key that its MCUboot decrypts with",
            "--enc-key KEY",
        ),
    )
    for is_known, name, what, option in missing:
        if not is_known and not given(name):
            raise typer.BadParameter(f"the build folder {path} does not have {what}. Give {option}")


def _parts(board: Board, given: Given, parts: Parts) -> Parts:
    keys, firmware = board.keys, board.firmware
    found: dict[str, Any] = {
        "key": None if keys.built_in is not None or keys.sign is None else [keys.sign],
        "enc_key": keys.encryption,
        "net_key": None if keys.net is None else [keys.net],
        "app": firmware.app,
        "external": firmware.external,
        "loader": firmware.loader,
        "net": firmware.net,
    }
    return replace(parts, **{name: one for name, one in found.items() if one is not None and not given(name)})


def _b0(board: Board, given: Given, b0: B0Parts) -> B0Parts:
    found: dict[str, Any] = {
        "b0_key": None if board.keys.b0 is None else [board.keys.b0],
        "mcuboot": board.firmware.mcuboot,
    }
    return replace(b0, **{name: one for name, one in found.items() if one is not None and not given(name)})


def _boot(board: Board, given: Given, boot: BootParts) -> BootParts:
    options = board.options
    prevents = Prevention.COUNTER if options.by_counter else Prevention.VERSION
    found: dict[str, Any] = {
        "mode": None if board.mode is None else Mode(str(board.mode)),
        "prevent_downgrade": prevents if options.downgrade_prevention else None,
        "rollback_protection": options.rollback_protection,
        "encrypt_keylen": KeyLength(str(8 * board.content_key_size)),
    }
    return replace(boot, **{name: one for name, one in found.items() if not given(name)})


def _loader(board: Board, given: Given, loader: LoaderParts) -> LoaderParts:
    options = board.options
    found: dict[str, Any] = {
        "ncs": board.ncs or loader.ncs,
        "partitions": PartitionsChoice(str(board.divided_by)),
        "check_address": None if options.check_address is None else AddressChoice(str(options.check_address)),
        "net_version": options.reads_net_version,
        "loader_entrance": [EntranceChoice(str(one)) for one in options.entrances],
    }
    return replace(loader, **{name: one for name, one in found.items() if not given(name)})


def _server(board: Board, given: Given, server: ServerParts) -> ServerParts:
    said = board.server
    found: dict[str, Any] = {
        "buffers": said.buffers or server.buffers,
        "buffer_size": said.buffer_size or server.buffer_size,
        "confirm_others": ConfirmsOthers(str(said.confirms_others)),
        "allow_erase_pending": said.allow_erase_pending,
        "erase": Erasing.PROGRESSIVE if said.erases_progressively else Erasing.FIRST,
    }
    return replace(server, **{name: one for name, one in found.items() if not given(name)})
