"""What a package of firmware files is made of, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

from smpdfu.dfu.package.package import Board
from smpdfu.image.format import Version
from smpdfu.image.signing.spec import HmacSha
from smpdfu.image.trailer import SwapMode

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """What to make a package of, and how. Addresses and sizes in bytes; the defaults are those of the nRF5340 DK.

    Firmware is a file for each core (``app``, ``net``: Intel HEX or binary), or one Intel HEX file for both
    (``merged``). ``app_address`` is the start of the primary slot, ``net_address`` that of the network application;
    without one, it is 0x1008800, or 0x1002800 if the code is linked for it. Without ``net_slot_size``, the network
    application has the rest of the flash.

    Without a key that signs, ``app`` and ``net`` may be images that are signed already: they are checked, and their
    bytes are kept. ``version`` is needed for everything else.

    ``net_version`` is ``version`` by default. ``security_counter`` is for the application core's image only. ``tie``
    makes the network core's image depend on this application: only bootloaders with two image pairs check that.
    ``release`` refuses images without a signature and keys that everybody has; ``check_link`` warns of firmware that is
    linked for another place.

    Raises ValueError without firmware, or for ``merged`` together with another file.
    """

    version: Version | None = None
    app: StrPath | None = None
    net: StrPath | None = None
    merged: StrPath | None = None
    net_version: Version | None = None
    security_counter: int | Literal["auto"] | None = None
    tie: bool = False
    name: str | None = None
    board: Board = field(default_factory=Board)
    app_address: int = 0xC000
    app_slot_size: int = 0x7A000
    net_address: int | None = None
    net_slot_size: int | None = None
    header_size: int = 0x200
    swap_mode: SwapMode = SwapMode.MOVE
    check_link: bool = True
    encrypt_keylen: int = 128
    hmac_sha: HmacSha = "auto"
    save_enctlv: bool = False
    release: bool = False

    def __post_init__(self) -> None:
        if (self.app, self.net, self.merged) == (None, None, None):
            raise ValueError("nothing to pack: give the firmware of a core, or a merged file of both")
        if self.merged is not None and (self.app, self.net) != (None, None):
            raise ValueError("a merged file has both cores: give no other file with it")
