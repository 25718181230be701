"""The contents of a file: facts and tables for people, data for scripts. And what to do with each kind of file."""

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
    "It is a whole flash image: a bootloader and a signed application. Write it with a programmer. `smpdfu upload` "
    "takes the signed application alone (zephyr.signed.bin, app_update.bin). Do not sign this file with `smpdfu sign`."
)

MCUBOOT_ITSELF = (
    "It is MCUboot itself, sealed for b0. Install it with `smpdfu update dfu_mcuboot.zip`, the package of the build, "
    "which has a file for each slot of MCUboot. Do not install this file with `smpdfu upload`: there is no way back."
)

PROVISION = (
    "It has the provisioning data of b0 or b0n: slots, keys and counters. Show them with `smpdfu provision show FILE`. "
    "`smpdfu update PACKAGE --b0-key FILE` (of the network core: --net-key FILE) checks the seals by its keys."
)

# By the names of FileKind: what can be done with a file of the kind.
ADVICE = {
    "MCUBOOT_IMAGE": "Check its signature with `smpdfu verify`. Install it with `smpdfu upload FILE --confirm`.",
    "OLD_IMAGE": "MCUboot has not accepted such images since 2018. Build the firmware again and sign it.",
    "INTEL_HEX": "It is not signed. Sign it with `smpdfu sign`.",
    "S_RECORD": "Convert it with `objcopy -I srec -O ihex IN OUT.hex`, then sign OUT.hex with `smpdfu sign`.",
    "RAW_FIRMWARE": "It is not signed. Sign it with `smpdfu sign`.",
    "DFU_APPLICATION_ZIP": "Install it with `smpdfu update FILE`.",
    "DFU_MULTI_IMAGE": "It has several signed images in a row. Install them with `smpdfu update FILE`. Do not send it "
    "with `smpdfu upload`: no bootloader accepts the file itself.",
    "SECURE_DFU_ZIP": "It is for the bootloader of the nRF5 SDK, not for MCUboot. `smpdfu secure-dfu show FILE` shows "
    "all of it, `smpdfu secure-dfu send FILE` sends it. For an nRF5340, use the dfu_application.zip of an nRF Connect "
    "SDK build.",
    "SUIT_ZIP": "It is for the SUIT updates of the nRF54H20. For an nRF5340, use the dfu_application.zip of a build "
    "for nrf5340dk.",
    "SUIT_ENVELOPE": "It is for the SUIT updates of the nRF54H20. For an nRF5340, make an image with `smpdfu sign`.",
    "ZIP": "It has no manifest that smpdfu can read, and an update needs one. Use the dfu_application.zip of an nRF "
    "Connect SDK build. If this file should be one, it is damaged: copy or download it again.",
    "COMPRESSED": "Unpack it and inspect its content.",
    "ELF": "It is for a debugger. Sign the .hex or .bin of the same build with `smpdfu sign`.",
    "UF2": "It is for bootloaders that appear as a USB drive. Sign the .hex or .bin of the same build with "
    "`smpdfu sign`.",
    "PEM": "Show its type and hash with `smpdfu key info -k FILE`.",
    "DER": "Convert it to PEM with `openssl pkey -inform der -in FILE`; for a public key, add `-pubin`.",
    "SSH_KEY": "It is for logging in. Make a key for signing with `smpdfu key gen`.",
    "PROGRAM": "It runs on a PC and not on a device.",
    "JSON": "It is a description and not firmware. Use the package or the image that it describes.",
    "HTML": "A download without a required login often gives such a page. Download the file again.",
    "LFS_POINTER": "Git has not fetched the file itself. Run `git lfs pull`.",
    "TEXT": "It is neither firmware nor a key.",
    "ERASED": "This part of the flash is empty. Read another part.",
    "EMPTY": "The file is empty.",
    "UNKNOWN": "It does not begin like an image, like Cortex-M firmware or like any other file that smpdfu knows. It "
    "may be encrypted or cut off, or a dump of flash that does not begin at a slot.",
}
