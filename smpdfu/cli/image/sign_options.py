"""The options of ``sign``, in groups: a group is one parameter of the command. Names and defaults are imgtool's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values


class ByteOrder(StrEnum):
    """The byte order of the numbers in an image."""

    LITTLE = "little"
    BIG = "big"


def _choice(*names: str, of: str, text: str, panel: str) -> Any:
    """An option that takes one of the words in ``of``, separated by |."""
    return option(*names, parse=values.word_of(*of.split("|")), metavar=of, text=text, panel=panel)


@dataclass(frozen=True, slots=True)
class Encryption(PassphraseOptions):
    """How the image is encrypted."""

    encrypt: Annotated[
        Path | None,
        word(
            "-E",
            "--encrypt",
            metavar="FILE",
            text="Encrypt the image for this key. The public half is enough.",
            panel=KEYS,
        ),
    ] = None
    encrypt_keylen: Annotated[
        int,
        option(
            "--encrypt-keylen",
            parse=values.one_of(128, 256),
            metavar="128|256",
            text="Size of the AES key in bits.",
            panel=KEYS,
        ),
    ] = 128
    hmac_sha: Annotated[
        str,
        _choice(
            "--hmac-sha", of="auto|256|512", text="With -E: hash function for wrapping the content key.", panel=KEYS
        ),
    ] = "auto"
    save_enctlv: Annotated[
        bool, flag("--save-enctlv", text="With -E: for bootloaders built with BOOT_SWAP_SAVE_ENCTLV.", panel=KEYS)
    ] = False
    clear: Annotated[
        bool,
        flag(
            "-c",
            "--clear",
            text="With -E: leave the code unencrypted, to program the primary slot for the first time.",
            panel=KEYS,
        ),
    ] = False


# Signing in two passes; ``seal`` has these options, too.
VectorToSign = Annotated[
    str | None,
    _choice(
        "--vector-to-sign", of="payload|digest", text="Write the data for signing elsewhere, and no image.", panel=KEYS
    ),
]
FixSig = Annotated[
    Path | None,
    word("--fix-sig", metavar="FILE", text="Use this signature, made elsewhere. smpdfu checks it first.", panel=KEYS),
]
FixSigPubkey = Annotated[
    str | None,
    word("--fix-sig-pubkey", metavar="FILE", text="Public key for --fix-sig or --vector-to-sign.", panel=KEYS),
]
SigOut = Annotated[
    Path | None,
    word("--sig-out", metavar="FILE", text="Also write the signature to this file, as base64.", panel=KEYS),
]


@dataclass(frozen=True, slots=True)
class Signature(Encryption):
    """How the image is signed."""

    public_key_format: Annotated[
        str, _choice("--public-key-format", of="hash|full", text="How the image identifies its key.", panel=KEYS)
    ] = "hash"
    sha: Annotated[
        str, _choice("--sha", of="auto|256|384|512", text="Hash function. auto takes the one of the key.", panel=KEYS)
    ] = "auto"
    pure: Annotated[bool, flag("--pure", text="Sign the image itself, not its hash (Ed25519).", panel=KEYS)] = False
    pad_sig: Annotated[
        bool, flag("--pad-sig", text="Pad ECDSA signatures with zeros, for MCUboot before 1.5.", panel=KEYS)
    ] = False
    vector_to_sign: VectorToSign = None
    fix_sig: FixSig = None
    fix_sig_pubkey: FixSigPubkey = None
    sig_out: SigOut = None


@dataclass(frozen=True, slots=True)
class SignKeys(Signature):
    """The keys that sign and encrypt an image."""

    key: Annotated[
        list[str] | None,
        word(
            "-k",
            "--key",
            metavar="KEY",
            text="Private key: a PEM file, env:NAME, - (stdin) or a key URI. Repeat it for several signatures.",
            panel=KEYS,
        ),
    ] = None


def _lzma(name: str, text: str) -> Any:
    return option(f"--compression-lzma-{name}", parse=values.number, metavar=NUMBER, text=text, panel=SIZE)


@dataclass(frozen=True, slots=True)
class Compression:
    """Smaller images, for bootloaders that decompress."""

    compression: Annotated[
        str,
        _choice(
            "--compression",
            of="disabled|lzma2|lzma2armthumb",
            text="Compress the firmware if that makes it smaller.",
            panel=SIZE,
        ),
    ] = "disabled"
    compression_lzma_dictsize: Annotated[int, _lzma("dictsize", "Size of the dictionary in bytes.")] = 131072
    compression_lzma_pb: Annotated[int, _lzma("pb", "Number of position bits.")] = 2
    compression_lzma_lc: Annotated[int, _lzma("lc", "Number of literal context bits.")] = 3
    compression_lzma_lp: Annotated[int, _lzma("lp", "Number of literal position bits.")] = 1
    compression_lzma_preset: Annotated[int, _lzma("preset", "Effort from 0 to 9.")] = 9


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
            text="Minimum versions of other images.",
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
            text="Security counter, for bootloaders that refuse a lower one. auto makes it from the version. Do not "
            "use it in a network image if the bootloader compares versions (PCD_READ_NETCORE_APP_VERSION).",
            panel=CONTENT,
        ),
    ] = None
    custom_tlv: Annotated[
        list[Any] | None,
        typer.Option(
            "--custom-tlv",
            parser=str,
            metavar="TAG VALUE",
            help="Add a protected TLV. 0x and hex digits are bytes, anything else is text. May be repeated.",
            rich_help_panel=CONTENT,
        ),
    ] = None
    custom_tlv_file: Annotated[
        list[Any] | None,
        typer.Option(
            "--custom-tlv-file",
            parser=str,
            metavar="TAG FILE",
            help="Add a protected TLV with the bytes of a file.",
            rich_help_panel=CONTENT,
        ),
    ] = None
    boot_record: Annotated[
        str | None,
        word(
            "--boot-record",
            metavar="TYPE",
            text="Add a boot record for attestation, with this software type.",
            panel=CONTENT,
        ),
    ] = None
    vid: Annotated[
        str | None,
        word("--vid", metavar="VENDOR", text="Vendor ID: a UUID, or the vendor's domain name.", panel=CONTENT),
    ] = None
    cid: Annotated[
        str | None,
        word("--cid", metavar="CLASS", text="Class ID: a UUID, or a name of the vendor's choice.", panel=CONTENT),
    ] = None
    manifest: Annotated[
        Path | None,
        word(
            "--manifest", metavar="FILE", text="Add an update manifest: a YAML file in Nordic's format.", panel=CONTENT
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignContent(Identity):
    """What the image says about itself."""

    version: Annotated[
        Any,
        option(
            "-v",
            "--version",
            parse=values.version,
            metavar="VERSION",
            text="Version of the image, such as 1.2.3+4.",
            panel=CONTENT,
        ),
    ]
    header_size: Annotated[
        int,
        option(
            "-H",
            "--header-size",
            parse=values.header_size,
            metavar="NUMBER|auto",
            text="Size of the header in bytes.",
            panel=CONTENT,
        ),
    ]
    pad_header: Annotated[
        bool,
        flag(
            "--pad-header",
            text="Insert space for the header. Without it, the firmware must begin with that many zero bytes.",
            panel=CONTENT,
        ),
    ] = False
    non_bootable: Annotated[
        bool, flag("--non-bootable", text="The image is data that no bootloader boots.", panel=CONTENT)
    ] = False
    endian: Annotated[
        ByteOrder, typer.Option("-e", "--endian", help="Byte order of the processor.", rich_help_panel=CONTENT)
    ] = ByteOrder.LITTLE
    load_addr: Annotated[
        int | None,
        option(
            "-L",
            "--load-addr",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="The bootloader copies the image to this address in RAM and runs it there.",
            panel=CONTENT,
        ),
    ] = None
    rom_fixed: Annotated[
        int | None,
        option(
            "-F",
            "--rom-fixed",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Start of the slot that the firmware is linked for. It goes into the header.",
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
            text="Start of the slot from which the firmware runs. smpdfu compares it with the reset vector, and writes "
            "it into the header unless you give --rom-fixed or --load-addr.",
            panel=SLOT,
        ),
    ] = None
    align: Annotated[int, align_option] = 1
    pad: Annotated[bool, flag("--pad", text="Fill the slot, and mark the image as pending.", panel=SLOT)] = False
    confirm: Annotated[bool, flag("--confirm", text="As --pad, and mark the image as confirmed.", panel=SLOT)] = False
    test: Annotated[bool, flag("--test", text="As --pad, and mark the image for a test.", panel=SLOT)] = False
    erased_val: Annotated[
        int, _byte("-R", "--erased-val", text="Value of an erased byte of the flash. [default: 0xff]")
    ] = 0xFF
    pad_value: Annotated[
        int | None, _byte("--pad-value", text="Fill the header and the slot with this byte. [default: --erased-val]")
    ] = None
    no_link_check: Annotated[
        bool, flag("--no-link-check", text="Do not warn if the firmware is linked for another place.", panel=SLOT)
    ] = False


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The firmware, and the files that are made of it. All files come from one signing, so they agree."""

    infile: Annotated[
        Path,
        typer.Argument(metavar="IN", help="Firmware: a .bin or .hex file. smpdfu looks at the content, not the name."),
    ]
    outfile: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help="The image: Intel HEX if the name ends with .hex, otherwise binary."),
    ] = None
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", metavar="OUT", help="Also write the image to this file. May be repeated."),
    ] = None

    def paths(self) -> tuple[Path, ...]:
        """All of them; typer.BadParameter if there is none, or one twice."""
        found = (*([] if self.outfile is None else [self.outfile]), *(self.output or ()))
        if not found:
            raise typer.BadParameter("no output file: give OUT, or -o OUT")
        if len(set(found)) != len(found):
            raise typer.BadParameter("you gave the same OUT twice")
        return found


@dataclass(frozen=True, slots=True)
class SignFiles(ImageFiles):
    """The same, and what only MCUboot images need to know."""

    hex_addr: Annotated[
        int | None,
        option(
            "-x",
            "--hex-addr",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Start address of a .hex file that smpdfu writes.",
        ),
    ] = None
    any_input: Annotated[bool, flag("--any-input", text="Sign IN even if it does not look like Cortex-M firmware.")] = (
        False
    )
