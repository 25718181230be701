"""The options of ``seal`` and ``provision make``, in groups: a group is one parameter of a command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from smpdfu.cli.image.options import ADDRESS, KEYS, NUMBER, option, word
from smpdfu.cli.image.sign_options import FixSig, FixSigPubkey, SigOut, VectorToSign
from smpdfu.cli.keys.options import PassphraseOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values

DATA, BUILD = "The data", "The bootloader"


class TokenForm(StrEnum):
    """What stands before a key."""

    NUMBERED = "numbered"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class SealKeys(PassphraseOptions):
    """The key that seals, or a signature that was made elsewhere."""

    key: Annotated[
        list[str] | None,
        word(
            "-k",
            "--key",
            metavar="KEY",
            text="Private ECDSA P-256 key: a PEM file, env:NAME, - (stdin) or a key URI.",
            panel=KEYS,
        ),
    ] = None
    vector_to_sign: VectorToSign = None
    fix_sig: FixSig = None
    fix_sig_pubkey: FixSigPubkey = None
    sig_out: SigOut = None


@dataclass(frozen=True, slots=True)
class SealPlace:
    """Where the firmware and its seal are."""

    address: Annotated[
        int | None,
        option(
            "--address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Address at which the firmware begins. A .bin file needs it. [default: the one of the .hex file]",
        ),
    ] = None
    offset: Annotated[
        int | None,
        option(
            "--offset",
            parse=values.unsigned32,
            metavar=NUMBER,
            text="Bytes from the start of the firmware to the seal. [default: the next multiple of 4 behind it]",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ProvisionValues:
    """What the bootloader finds in its provisioning data."""

    address: Annotated[
        int,
        option(
            "--address",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="The provision address: start of the partition `provision`. 0xff8100 for the application core.",
            panel=DATA,
        ),
    ]
    s0: Annotated[
        int | None,
        option("--s0", parse=values.unsigned32, metavar=ADDRESS, text="Address of the slot S0.", panel=DATA),
    ] = None
    s1: Annotated[
        int | None,
        option(
            "--s1",
            parse=values.unsigned32,
            metavar=ADDRESS,
            text="Address of the slot S1. [default: S0, for one slot]",
            panel=DATA,
        ),
    ] = None
    key: Annotated[
        list[str] | None,
        word(
            "-k",
            "--key",
            metavar="KEY",
            text="Key that the bootloader trusts: a PEM file (the public half will do) or a key URI. Repeat it for "
            "later keys; the one that signs now comes first.",
            panel=DATA,
        ),
    ] = None
    counter_slots: Annotated[
        int,
        option(
            "--counter-slots",
            parse=values.number,
            metavar=NUMBER,
            text="Slots of the version counter: how often it can count (CONFIG_SB_NUM_VER_COUNTER_SLOTS).",
            panel=DATA,
        ),
    ] = 0
    mcuboot_counter_slots: Annotated[
        int,
        option(
            "--mcuboot-counter-slots",
            parse=values.number,
            metavar=NUMBER,
            text="Slots of MCUboot's counter (CONFIG_MCUBOOT_HW_DOWNGRADE_PREVENTION_COUNTER_SLOTS).",
            panel=DATA,
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class ProvisionBuild:
    """How the bootloader that reads the data was built."""

    max_size: Annotated[
        int | None,
        option(
            "--max-size",
            parse=values.number,
            metavar=NUMBER,
            text="Size of the partition in bytes. [default: to the end of OTP, elsewhere 0x1000]",
            panel=BUILD,
        ),
    ] = None
    tokens: Annotated[
        TokenForm,
        typer.Option(
            "--tokens",
            help="What stands before a key. plain is for bootloaders from before June 2024, which NCS 2.6 and older "
            "have. `smpdfu provision show` shows it for the provision.hex of a build.",
            rich_help_panel=BUILD,
        ),
    ] = TokenForm.NUMBERED
    mcuboot_only: Annotated[
        bool,
        typer.Option(
            "--mcuboot-only",
            help="Make the data for MCUboot without NSIB: its counter alone.",
            rich_help_panel=BUILD,
        ),
    ] = False
    bare: Annotated[
        bool,
        typer.Option(
            "--bare",
            help="With --mcuboot-only, for old releases: begin with the counter, without zeros before it.",
            rich_help_panel=BUILD,
        ),
    ] = False
