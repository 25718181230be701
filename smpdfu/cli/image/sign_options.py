"""The options of ``sign``, in groups: a group is one parameter of the command. Names and defaults are imgtool's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from smpdfu.cli.image.options import (
    ADDRESS,
    CONTENT,
    KEYS,
    NUMBER,
    SIZE,
    SLOT,
    SlotOptions,
    align_option,
    flag,
    option,
    slot_size_option,
    word,
)
from smpdfu.cli.keys.options import PassphraseOptions
from smpdfu.cli.terminal import values


class ByteOrder(StrEnum):
    """Of the numbers in an image."""

    LITTLE = "little"
    BIG = "big"


def _choice(*names: str, of: str, text: str, panel: str) -> Any:
    """An option that takes one of the words in ``of``, separated by |."""
    return option(*names, parse=values.word_of(*of.split("|")), metavar=of, text=text, panel=panel)


@dataclass(frozen=True, slots=True)
class Encryption(PassphraseOptions):
    """For whom the image is encrypted."""

    encrypt: Annotated[
        Path | None,
        word(
            "-E",
            "--encrypt",
            metavar="FILE",
            text="Encrypt for the holder of this key; its public half is enough.",
            panel=KEYS,
        ),
    ] = None
    encrypt_keylen: Annotated[
        int, option("--encrypt-keylen", parse=values.one_of(128, 256), metavar="128|256", text="AES key.", panel=KEYS)
    ] = 128
    hmac_sha: Annotated[
        str,
        _choice("--hmac-sha", of="auto|256|512", text="With -E: hash function that wraps the key.", panel=KEYS),
    ] = "auto"
    save_enctlv: Annotated[
        bool, flag("--save-enctlv", text="With -E: for bootloaders built with BOOT_SWAP_SAVE_ENCTLV.", panel=KEYS)
    ] = False
    clear: Annotated[
        bool,
        flag(
            "-c",
            "--clear",
            text="With -E: leave the code plain, for the first programming of the primary slot.",
            panel=KEYS,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Signature(Encryption):
    """How the image is signed."""

    public_key_format: Annotated[
        str, _choice("--public-key-format", of="hash|full", text="How the image names its key.", panel=KEYS)
    ] = "hash"
    sha: Annotated[
        str, _choice("--sha", of="auto|256|384|512", text="Hash function; auto: the key's own.", panel=KEYS)
    ] = "auto"
    pure: Annotated[bool, flag("--pure", text="Sign the image itself, not its hash (Ed25519).", panel=KEYS)] = False
    pad_sig: Annotated[bool, flag("--pad-sig", text="Pad ECDSA signatures, for MCUboot before 1.5.", panel=KEYS)] = (
        False
    )
    vector_to_sign: Annotated[
        str | None,
        _choice(
            "--vector-to-sign", of="payload|digest", text="Write what is to be signed elsewhere, no image.", panel=KEYS
        ),
    ] = None
    fix_sig: Annotated[
        Path | None,
        word("--fix-sig", metavar="FILE", text="A signature made elsewhere; checked before it is used.", panel=KEYS),
    ] = None
    fix_sig_pubkey: Annotated[
        str | None,
        word("--fix-sig-pubkey", metavar="FILE", text="Public key of who signs elsewhere.", panel=KEYS),
    ] = None
    sig_out: Annotated[
        Path | None, word("--sig-out", metavar="FILE", text="Write the signature here too, as base64.", panel=KEYS)
    ] = None


@dataclass(frozen=True, slots=True)
class SignKeys(Signature):
    """Who signs, and for whom the image is encrypted."""

    key: Annotated[
        list[str] | None,
        word(
            "-k",
            "--key",
            metavar="KEY",
            text="Private key that signs: a PEM file, env:NAME, - (stdin) or a key URI. May be repeated: one signature "
            "each.",
            panel=KEYS,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PackageKeys(Encryption):
    """Who signs all images of a package, and for whom that of the application is encrypted."""

    key: Annotated[
        str | None,
        word("-k", "--key", metavar="KEY", text="Private key that signs: a PEM file or a key URI.", panel=KEYS),
    ] = None


def _lzma(name: str, text: str) -> Any:
    return option(f"--compression-lzma-{name}", parse=values.number, metavar=NUMBER, text=text, panel=SIZE)


@dataclass(frozen=True, slots=True)
class Compression:
    """Smaller images, for bootloaders that decompress."""

    compression: Annotated[
        str,
        _choice("--compression", of="disabled|lzma2|lzma2armthumb", text="Only if that is smaller.", panel=SIZE),
    ] = "disabled"
    compression_lzma_dictsize: Annotated[int, _lzma("dictsize", "Bytes of the dictionary.")] = 131072
    compression_lzma_pb: Annotated[int, _lzma("pb", "Position bits.")] = 2
    compression_lzma_lc: Annotated[int, _lzma("lc", "Literal context bits.")] = 3
    compression_lzma_lp: Annotated[int, _lzma("lp", "Literal position bits.")] = 1
    compression_lzma_preset: Annotated[int, _lzma("preset", "Effort, 0 to 9.")] = 9


@dataclass(frozen=True, slots=True)
class Identity(Compression):
    """What the protected TLVs say."""

    dependencies: Annotated[
        Any,
        option(
            "-d",
            "--dependencies",
            parse=values.dependencies,
            metavar="(ID,VERSION),...",
            text="Versions that other images must have.",
            panel=CONTENT,
        ),
    ] = ()
    security_counter: Annotated[
        Any,
        option(
            "-s",
            "--security-counter",
            parse=values.security_counter,
            metavar="NUMBER|auto",
            text="For bootloaders that refuse lower ones; auto: from the version. Not in a network image for those "
            "that compare its version (PCD_READ_NETCORE_APP_VERSION).",
            panel=CONTENT,
        ),
    ] = None
    custom_tlv: Annotated[
        list[Any] | None,
        typer.Option(
            "--custom-tlv",
            parser=str,
            metavar="TAG VALUE",
            help="A protected TLV; 0x and hex digits are bytes, else text. May be repeated.",
            rich_help_panel=CONTENT,
        ),
    ] = None
    custom_tlv_file: Annotated[
        list[Any] | None,
        typer.Option(
            "--custom-tlv-file",
            parser=str,
            metavar="TAG FILE",
            help="The same with the bytes of a file.",
            rich_help_panel=CONTENT,
        ),
    ] = None
    boot_record: Annotated[
        str | None, word("--boot-record", metavar="TYPE", text="A boot record for attestation.", panel=CONTENT)
    ] = None
    vid: Annotated[
        str | None, word("--vid", metavar="VENDOR", text="A UUID, or the vendor's domain name.", panel=CONTENT)
    ] = None
    cid: Annotated[
        str | None, word("--cid", metavar="CLASS", text="A UUID, or a name within the vendor's.", panel=CONTENT)
    ] = None
    manifest: Annotated[
        Path | None, word("--manifest", metavar="FILE", text="Update manifest (YAML, Nordic's).", panel=CONTENT)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignContent(Identity):
    """What the image says about itself."""

    version: Annotated[
        Any, option("-v", "--version", parse=values.version, metavar="VERSION", text="Such as 1.2.3+4.", panel=CONTENT)
    ]
    header_size: Annotated[
        int,
        option(
            "-H",
            "--header-size",
            parse=values.header_size,
            metavar="NUMBER|auto",
            text="Bytes of the header.",
            panel=CONTENT,
        ),
    ]
    pad_header: Annotated[
        bool, flag("--pad-header", text="Put the header before the firmware; else its place is there.", panel=CONTENT)
    ] = False
    non_bootable: Annotated[
        bool, flag("--non-bootable", text="Data for an image slot, never booted.", panel=CONTENT)
    ] = False
    endian: Annotated[
        ByteOrder, typer.Option("-e", "--endian", help="Byte order of the processor.", rich_help_panel=CONTENT)
    ] = ByteOrder.LITTLE
    load_addr: Annotated[
        int | None,
        option("-L", "--load-addr", parse=values.unsigned32, metavar=ADDRESS, text="Run from RAM.", panel=CONTENT),
    ] = None
    rom_fixed: Annotated[
        int | None,
        option(
            "-F",
            "--rom-fixed",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="The slot that the firmware is linked for.",
            panel=CONTENT,
        ),
    ] = None


def _byte(*names: str, text: str) -> Any:
    return option(*names, parse=values.one_of(0, 255), metavar="0|0xff", text=text, panel=SLOT)


@dataclass(frozen=True, slots=True)
class SignSlot(SlotOptions):
    """The slot of an image that is made, with imgtool's defaults, and what the file says about itself in it."""

    slot_size: Annotated[int, slot_size_option]
    slot_address: Annotated[
        int | None,
        option(
            "--slot-address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Where the slot is that the firmware runs from: checked against its reset vector and, without "
            "--rom-fixed and --load-addr, written into the header.",
            panel=SLOT,
        ),
    ] = None
    align: Annotated[int, align_option] = 1
    pad: Annotated[bool, flag("--pad", text="Fill the slot, and mark the image as pending.", panel=SLOT)] = False
    confirm: Annotated[bool, flag("--confirm", text="--pad, and mark the image as confirmed.", panel=SLOT)] = False
    test: Annotated[bool, flag("--test", text="--pad, and mark the image for one test boot.", panel=SLOT)] = False
    erased_val: Annotated[int, _byte("-R", "--erased-val", text="Erased flash; default 0xff.")] = 0xFF
    pad_value: Annotated[
        int | None, _byte("--pad-value", text="What fills the header and the slot; by default what erased flash has.")
    ] = None
    no_link_check: Annotated[
        bool, flag("--no-link-check", text="No warning about firmware linked elsewhere.", panel=SLOT)
    ] = False


@dataclass(frozen=True, slots=True)
class SignFiles:
    """What is signed, and where the image goes; all files are of one signing, so they agree."""

    infile: Annotated[Path, typer.Argument(metavar="IN", help="Firmware: .bin or .hex, known by its content.")]
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
    any_input: Annotated[bool, flag("--any-input", text="Sign IN also if it does not look like Cortex-M firmware.")] = (
        False
    )

    def paths(self) -> tuple[Path, ...]:
        """All of them; typer.BadParameter if there is none, or one twice."""
        found = (*([] if self.outfile is None else [self.outfile]), *(self.output or ()))
        if not found:
            raise typer.BadParameter("where to? Give OUT, or -o OUT")
        if len(set(found)) != len(found):
            raise typer.BadParameter("the same OUT is given twice")
        return found
