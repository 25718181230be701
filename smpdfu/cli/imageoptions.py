"""The options of ``sign`` and ``verify``, in groups: a group is one parameter of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from smpdfu.cli import values
from smpdfu.cli.keys import PassphraseOptions
from smpdfu.image.trailer import DEFAULT_MAX_SECTORS, SwapMode


def typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of ``values`` whose sentence reaches the user."""

    def convert(text: Any) -> Any:
        try:
            return parse(text) if isinstance(text, str) else text  # a default is a value already
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return convert


def option(*names: str, parse: Callable[[str], Any], metavar: str, text: str, panel: str | None = None) -> Any:
    """An option that takes one word which ``parse`` reads; the help shows the default unless ``text`` tells it."""
    told = "default" in text
    return typer.Option(
        *names, parser=typed(parse), metavar=metavar, help=text, rich_help_panel=panel, show_default=not told
    )


NUMBER, ADDRESS = "NUMBER", "ADDRESS"
_ALIGN = values.one_of(1, 2, 4, 8, 16, 32)
_MAX_ALIGN = values.one_of(8, 16, 32)
_SLOT, _CONTENT, _KEYS = "The slot", "What is in the image", "Keys"


class ByteOrder(StrEnum):
    """Of the numbers in an image."""

    LITTLE = "little"
    BIG = "big"


@dataclass(frozen=True, slots=True)
class SignKeys(PassphraseOptions):
    """Who signs, and for whom the image is encrypted."""

    key: Annotated[
        Path | None,
        typer.Option("-k", "--key", metavar="FILE", help="Private key that signs.", rich_help_panel=_KEYS),
    ] = None
    encrypt: Annotated[
        Path | None,
        typer.Option(
            "-E",
            "--encrypt",
            metavar="FILE",
            help="Encrypt for the holder of this key; its public half is enough.",
            rich_help_panel=_KEYS,
        ),
    ] = None
    encrypt_keylen: Annotated[
        int,
        option("--encrypt-keylen", parse=values.one_of(128, 256), metavar="128|256", text="AES key.", panel=_KEYS),
    ] = 128
    save_enctlv: Annotated[
        bool,
        typer.Option(
            "--save-enctlv", help="With -E: for bootloaders built with BOOT_SWAP_SAVE_ENCTLV.", rich_help_panel=_KEYS
        ),
    ] = False
    clear: Annotated[
        bool,
        typer.Option(
            "-c",
            "--clear",
            help="With -E: leave the code plain, for the first programming of the primary slot.",
            rich_help_panel=_KEYS,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class VerifyKeys(PassphraseOptions):
    """What the bootloader trusts, and what it decrypts with."""

    key: Annotated[
        list[Path] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="FILE",
            help="Key that the bootloader trusts; its public half is enough. May be repeated.",
            rich_help_panel=_KEYS,
        ),
    ] = None
    enc_key: Annotated[
        Path | None,
        typer.Option("--enc-key", metavar="FILE", help="Private key that decrypts.", rich_help_panel=_KEYS),
    ] = None


@dataclass(frozen=True, slots=True)
class SignContent:
    """What the image says about itself."""

    version: Annotated[
        Any,
        option("-v", "--version", parse=values.version, metavar="VERSION", text="Such as 1.2.3+4.", panel=_CONTENT),
    ]
    header_size: Annotated[
        int,
        option("-H", "--header-size", parse=values.number, metavar=NUMBER, text="Bytes of the header.", panel=_CONTENT),
    ]
    pad_header: Annotated[
        bool,
        typer.Option(
            "--pad-header",
            help="Put the header before the firmware; else its place is there.",
            rich_help_panel=_CONTENT,
        ),
    ] = False
    dependencies: Annotated[
        Any,
        option(
            "-d",
            "--dependencies",
            parse=values.dependencies,
            metavar="(ID,VERSION),...",
            text="Versions that other images must have.",
            panel=_CONTENT,
        ),
    ] = ()
    security_counter: Annotated[
        Any,
        option(
            "-s",
            "--security-counter",
            parse=values.security_counter,
            metavar="NUMBER|auto",
            text="For bootloaders that refuse lower ones; auto: from the version.",
            panel=_CONTENT,
        ),
    ] = None
    custom_tlv: Annotated[
        list[Any] | None,
        typer.Option(
            "--custom-tlv",
            parser=str,
            metavar="TAG VALUE",
            help="A protected TLV; 0x and hex digits are bytes, else text. May be repeated.",
            rich_help_panel=_CONTENT,
        ),
    ] = None
    custom_tlv_file: Annotated[
        list[Any] | None,
        typer.Option(
            "--custom-tlv-file",
            parser=str,
            metavar="TAG FILE",
            help="The same with the bytes of a file.",
            rich_help_panel=_CONTENT,
        ),
    ] = None
    boot_record: Annotated[
        str | None,
        typer.Option("--boot-record", metavar="TYPE", help="A boot record for attestation.", rich_help_panel=_CONTENT),
    ] = None
    non_bootable: Annotated[
        bool, typer.Option("--non-bootable", help="Data for an image slot, never booted.", rich_help_panel=_CONTENT)
    ] = False
    endian: Annotated[
        ByteOrder, typer.Option("-e", "--endian", help="Byte order of the processor.", rich_help_panel=_CONTENT)
    ] = ByteOrder.LITTLE
    load_addr: Annotated[
        int | None,
        option("-L", "--load-addr", parse=values.unsigned32, metavar=ADDRESS, text="Run from RAM.", panel=_CONTENT),
    ] = None
    rom_fixed: Annotated[
        int | None,
        option(
            "-F",
            "--rom-fixed",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="The slot that the firmware is linked for.",
            panel=_CONTENT,
        ),
    ] = None


_slot_size = option("-S", "--slot-size", parse=values.number, metavar=NUMBER, text="Bytes of the slot.", panel=_SLOT)
_align = option("--align", parse=_ALIGN, metavar="1|2|4|8|16|32", text="Write unit of the flash.", panel=_SLOT)


@dataclass(frozen=True, slots=True)
class SlotOptions:
    """A slot, and how the bootloader there was built."""

    slot_size: Annotated[int | None, _slot_size] = None
    swap_mode: Annotated[
        SwapMode | None,
        typer.Option("--swap-mode", help="How the bootloader swaps: decides what fits.", rich_help_panel=_SLOT),
    ] = None
    sector_size: Annotated[
        int,
        option("--sector-size", parse=values.number, metavar=NUMBER, text="Bytes of a flash sector.", panel=_SLOT),
    ] = 4096
    overwrite_only: Annotated[
        bool, typer.Option("--overwrite-only", help="The same as --swap-mode overwrite-only.", rich_help_panel=_SLOT)
    ] = False
    align: Annotated[int, _align] = 4
    max_align: Annotated[
        int | None,
        option("--max-align", parse=_MAX_ALIGN, metavar="8|16|32", text="MCUBOOT_BOOT_MAX_ALIGN.", panel=_SLOT),
    ] = None
    max_sectors: Annotated[
        int,
        option("-M", "--max-sectors", parse=values.number, metavar=NUMBER, text="Most sectors of a slot.", panel=_SLOT),
    ] = DEFAULT_MAX_SECTORS
    slot_address: Annotated[
        int | None,
        option(
            "--slot-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Where the slot is that the firmware runs from: checked against its reset vector.",
            panel=_SLOT,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SignSlot(SlotOptions):
    """The slot of an image that is made, with imgtool's defaults, and what the file says about itself in it."""

    slot_size: Annotated[int, _slot_size]
    align: Annotated[int, _align] = 1
    pad: Annotated[
        bool, typer.Option("--pad", help="Fill the slot, and mark the image as pending.", rich_help_panel=_SLOT)
    ] = False
    confirm: Annotated[
        bool, typer.Option("--confirm", help="--pad, and mark the image as confirmed.", rich_help_panel=_SLOT)
    ] = False
    test: Annotated[
        bool, typer.Option("--test", help="--pad, and mark the image for one test boot.", rich_help_panel=_SLOT)
    ] = False
    erased_val: Annotated[
        int,
        option(
            "-R",
            "--erased-val",
            parse=values.one_of(0, 255),
            metavar="0|0xff",
            text="Erased flash; default 0xff.",
            panel=_SLOT,
        ),
    ] = 0xFF
    no_link_check: Annotated[
        bool,
        typer.Option("--no-link-check", help="No warning about firmware linked elsewhere.", rich_help_panel=_SLOT),
    ] = False


@dataclass(frozen=True, slots=True)
class OutFiles:
    """Where the image goes; all files are of one signing, so they agree."""

    outfile: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="The image: Intel HEX if it is called .hex, else binary.")
    ] = None
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", metavar="OUT", help="The same image in one more file. May be repeated."),
    ] = None

    hex_addr: Annotated[
        int | None,
        option("-x", "--hex-addr", parse=values.unsigned32, metavar=ADDRESS, text="Where a .hex starts."),
    ] = None

    def paths(self) -> tuple[Path, ...]:
        """All of them; typer.BadParameter if there is none, or one twice."""
        found = (*([] if self.outfile is None else [self.outfile]), *(self.output or ()))
        if not found:
            raise typer.BadParameter("where to? Give OUT, or -o OUT")
        if len(set(found)) != len(found):
            raise typer.BadParameter("the same OUT is given twice")
        return found
