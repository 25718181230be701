"""The options of ``verify``, in groups: a group is one parameter of a command; and what those of ``sign`` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smpdfu.cli.keys.options import PassphraseOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values
from smpdfu.image.trailer import DEFAULT_MAX_SECTORS, SlotGeometry, SwapMode


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


def flag(*names: str, text: str, panel: str | None = None) -> Any:
    """An option without a value."""
    return typer.Option(*names, help=text, rich_help_panel=panel)


def word(*names: str, metavar: str, text: str, panel: str | None = None) -> Any:
    """An option with a value that is taken as it is."""
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel)


NUMBER, ADDRESS = "NUMBER", "ADDRESS"
ALIGN = values.one_of(1, 2, 4, 8, 16, 32)
MAX_ALIGN = values.one_of(8, 16, 32)
SLOT, CONTENT, KEYS, SIZE = "The slot", "What is in the image", "Keys", "Compression"


@dataclass(frozen=True, slots=True)
class VerifyKeys(PassphraseOptions):
    """What the bootloader trusts, and what it decrypts with."""

    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="KEY",
            help="Key that the bootloader trusts: a PEM file (the public half will do) or a key URI. May be repeated.",
            rich_help_panel=KEYS,
        ),
    ] = None
    enc_key: Annotated[
        Path | None,
        typer.Option("--enc-key", metavar="FILE", help="Private key for decryption.", rich_help_panel=KEYS),
    ] = None


slot_size_option = option(
    "-S", "--slot-size", parse=values.number, metavar=NUMBER, text="Size of the slot in bytes.", panel=SLOT
)
align_option = option(
    "--align", parse=ALIGN, metavar="1|2|4|8|16|32", text="Write unit of the flash in bytes.", panel=SLOT
)


@dataclass(frozen=True, slots=True)
class SlotOptions:
    """A slot, and how the bootloader there was built."""

    slot_size: Annotated[int | None, slot_size_option] = None
    swap_mode: Annotated[
        SwapMode | None,
        typer.Option(
            "--swap-mode",
            help="How the bootloader installs an image. The mode decides how large an image may be.",
            rich_help_panel=SLOT,
        ),
    ] = None
    sector_size: Annotated[
        int,
        option(
            "--sector-size", parse=values.number, metavar=NUMBER, text="Size of a flash sector in bytes.", panel=SLOT
        ),
    ] = 4096
    overwrite_only: Annotated[
        bool, typer.Option("--overwrite-only", help="The same as --swap-mode overwrite-only.", rich_help_panel=SLOT)
    ] = False
    align: Annotated[int, align_option] = 4
    max_align: Annotated[
        int | None,
        option("--max-align", parse=MAX_ALIGN, metavar="8|16|32", text="Value of MCUBOOT_BOOT_MAX_ALIGN.", panel=SLOT),
    ] = None
    max_sectors: Annotated[
        int,
        option(
            "-M",
            "--max-sectors",
            parse=values.number,
            metavar=NUMBER,
            text="Maximum number of sectors in a slot.",
            panel=SLOT,
        ),
    ] = DEFAULT_MAX_SECTORS
    slot_address: Annotated[
        int | None,
        option(
            "--slot-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Start of the slot from which the firmware runs. smpdfu compares it with the reset vector.",
            panel=SLOT,
        ),
    ] = None

    def geometry(self) -> SlotGeometry | None:
        """The slot as one value; None without --slot-size. Raises typer.BadParameter for one that cannot be."""
        if self.slot_size is None:
            if self.swap_mode is not None or self.overwrite_only:
                raise typer.BadParameter("--swap-mode needs --slot-size")
            return None
        mode = SwapMode.OVERWRITE_ONLY if self.overwrite_only else self.swap_mode or SwapMode.MOVE
        max_align = max(8, self.align) if self.max_align is None else self.max_align
        try:
            return SlotGeometry(self.slot_size, self.sector_size, self.align, max_align, self.max_sectors, mode)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


@dataclass(frozen=True, slots=True)
class Release:
    """Whether this is for customers, who must not get an image with a key that everybody has."""

    release: Annotated[
        bool,
        typer.Option(
            "--release", help="Refuse an image without a signature, and keys that are public (sample and dev- keys)."
        ),
    ] = False
