"""The options of ``verify`` about the bootloader: what it remembers, what it checks, and how it was built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from smpdfu.cli.image.options import SLOT, flag, option
from smpdfu.cli.terminal import values

_MEMORY_PANEL = "What the bootloader remembers"
_BUILD_PANEL = "How the bootloader was built (without these: what some builds refuse is a warning)"
_BACKENDS = ("tinycrypt", "mbedtls", "psa")


@dataclass(frozen=True, slots=True)
class Memory:
    """What a bootloader that refuses older images compares with; None where it does not look."""

    current_version: Annotated[
        Any,
        option(
            "--current-version",
            parse=values.version,
            metavar="VERSION",
            text="Version that runs now: for bootloaders that refuse older ones.",
            panel=_MEMORY_PANEL,
        ),
    ] = None
    current_counter: Annotated[
        int | None,
        option(
            "--current-counter",
            parse=values.unsigned32,
            metavar="NUMBER",
            text="Security counter that is stored: for bootloaders that refuse lower ones.",
            panel=_MEMORY_PANEL,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Checks:
    """What some bootloaders are built to check."""

    check_load_address: Annotated[
        bool,
        flag(
            "--check-load-address",
            text="The bootloader compares the header's load address with its slot: nRF Connect SDK 3.4 and later, "
            "nRF5340 without Partition Manager. Needs --slot-address and --slot-size.",
            panel=SLOT,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """What of the bootloader's build decides which images it takes."""

    hw_key: Annotated[
        bool,
        flag(
            "--hw-key",
            text="With MCUBOOT_HW_KEY: it wants the whole key in the image, not its hash.",
            panel=_BUILD_PANEL,
        ),
    ] = False
    backend: Annotated[
        str | None,
        option(
            "--backend",
            parse=values.word_of(*_BACKENDS),
            metavar="|".join(_BACKENDS),
            text="What checks ECDSA signatures. mbedTLS refuses padded ones (sign --pad-sig).",
            panel=_BUILD_PANEL,
        ),
    ] = None
    no_encryption: Annotated[
        bool,
        flag(
            "--no-encryption", text="It cannot decrypt: it refuses every header with an AES flag.", panel=_BUILD_PANEL
        ),
    ] = False
    hmac_sha: Annotated[
        str | None,
        option(
            "--hmac-sha",
            parse=values.word_of("256", "512"),
            metavar="256|512",
            text="Hash function that wraps X25519 content keys.",
            panel=_BUILD_PANEL,
        ),
    ] = None
    image_pairs: Annotated[
        int | None,
        option(
            "--image-pairs",
            parse=values.one_of(*range(1, 9)),
            metavar="NUMBER",
            text="Number of its slot pairs. It reads dependencies only if there are several.",
            panel=_BUILD_PANEL,
        ),
    ] = None
    require_all_checks: Annotated[
        bool,
        flag("--require-all-checks", text="Exit with 3 if something could not be checked for want of a key."),
    ] = False
