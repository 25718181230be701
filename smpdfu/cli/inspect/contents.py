"""What was found in a file: facts and tables for people, data for scripts. And what to do with each kind of file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smpdfu.errors import SmpdfuError

if TYPE_CHECKING:
    from rich.console import RenderableType

Pairs = tuple[tuple[str, object], ...]
Rows = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title."""

    title: str
    columns: tuple[str, ...]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file: facts, tables and a picture for people, ``data`` for scripts, and what can be done with it."""

    pairs: Pairs = ()
    tables: tuple[Table, ...] = ()
    data: tuple[tuple[str, Any], ...] = ()
    advice: str = ""
    fault: SmpdfuError | None = None
    picture: RenderableType | None = None


WHOLE_FLASH = (
    "It is a whole flash image, a bootloader with a signed application behind it: a programmer writes it. "
    "`smpdfu upload` takes the signed application alone (zephyr.signed.bin, app_update.bin); do not sign it again."
)

# By the names of FileKind: what can be done with a file of the kind.
ADVICE = {
    "MCUBOOT_IMAGE": "`smpdfu verify` checks its signature, `smpdfu upload` brings it to a device.",
    "OLD_IMAGE": "MCUboot has not taken such images since 2018: build the firmware anew and sign it.",
    "INTEL_HEX": "It is not signed: `smpdfu sign` makes an image of it.",
    "S_RECORD": "`objcopy -I srec -O ihex IN OUT.hex` makes Intel HEX of it, which `smpdfu sign` takes.",
    "RAW_FIRMWARE": "It is not signed: `smpdfu sign` makes an image of it.",
    "DFU_APPLICATION_ZIP": "`smpdfu update` brings it to a device.",
    "DFU_MULTI_IMAGE": "It holds several signed images in a row, which no bootloader takes as one: `smpdfu update` "
    "installs the dfu_application.zip of the same build, `smpdfu upload` one signed image.",
    "SECURE_DFU_ZIP": "It is for the bootloader of the nRF5 SDK, not for MCUboot: `nrfutil` updates such devices. An "
    "nRF5340 takes the dfu_application.zip of an nRF Connect SDK build.",
    "SUIT_ZIP": "It is for the SUIT updates of the nRF54H20. An nRF5340 takes the dfu_application.zip of a build for "
    "nrf5340dk.",
    "SUIT_ENVELOPE": "It is for the SUIT updates of the nRF54H20. An nRF5340 takes an image that `smpdfu sign` makes.",
    "ZIP": "It has no manifest that an update needs; a build of the nRF Connect SDK makes dfu_application.zip.",
    "COMPRESSED": "Unpack it and inspect what was in it.",
    "ELF": "It is for a debugger: `smpdfu sign` takes the .hex or .bin that the build made beside it.",
    "UF2": "It is for bootloaders that look like a USB drive: `smpdfu sign` takes the .hex or .bin it was made from.",
    "PEM": "`smpdfu keyinfo -k FILE` tells more.",
    "DER": "`openssl pkey -inform der -in FILE` makes PEM of a private key, with `-pubin` of a public one.",
    "SSH_KEY": "It is for logging in: `smpdfu keygen` makes a key that signs images.",
    "PROGRAM": "It runs on a PC and not on a device.",
    "JSON": "It is a description and not firmware: hand over the package or the image that it describes.",
    "HTML": "A download that needs a login or a token often ends so: fetch the file again.",
    "LFS_POINTER": "Git has not fetched the file itself: run `git lfs pull`.",
    "TEXT": "It is neither firmware nor a key.",
    "ERASED": "Nothing was written there: read out another part of the flash.",
    "EMPTY": "There is nothing in it.",
    "UNKNOWN": "It does not start as an image, as Cortex-M firmware or as any other file known here. An encrypted or "
    "cut-off file looks so, and so does a dump of flash that does not begin where a slot does.",
}
