"""The options of ``verify`` about the bootloader: what it remembers, what it checks, and how it was built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from smpdfu.cli.image.options import SLOT, flag, option
from smpdfu.cli.terminal import values

_MEMORY_PANEL = "What the bootloader remembers"
_BUILD_PANEL = "How the bootloader was built (without these options, smpdfu warns if some builds refuse the image)"
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
            text="Version that runs now. Refuse an older image, as some bootloaders do.",
            panel=_MEMORY_PANEL,
        ),
    ] = None
    current_counter: Annotated[
        int | None,
        option(
            "--current-counter",
            parse=values.unsigned32,
            metavar="NUMBER",
            text="Security counter that the device has stored. Refuse a lower one, as some bootloaders do.",
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
            text="Refuse a load address outside the slot, as bootloaders of nRF Connect SDK 3.4 and later do on an "
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
            text="With MCUBOOT_HW_KEY: the image must contain the whole key, not its hash.",
            panel=_BUILD_PANEL,
        ),
    ] = False
    backend: Annotated[
        str | None,
        option(
            "--backend",
            parse=values.word_of(*_BACKENDS),
            metavar="|".join(_BACKENDS),
            text="Library that checks ECDSA signatures. mbedTLS refuses padded ones (sign --pad-sig).",
            panel=_BUILD_PANEL,
        ),
    ] = None
    no_encryption: Annotated[
        bool,
        flag(
            "--no-encryption",
            text="Without encryption: the bootloader refuses every header with an AES flag.",
            panel=_BUILD_PANEL,
        ),
    ] = False
    hmac_sha: Annotated[
        str | None,
        option(
            "--hmac-sha",
            parse=values.word_of("256", "512"),
            metavar="256|512",
            text="Hash function for wrapping X25519 content keys.",
            panel=_BUILD_PANEL,
        ),
    ] = None
    image_pairs: Annotated[
        int | None,
        option(
            "--image-pairs",
            parse=values.one_of(*range(1, 9)),
            metavar="NUMBER",
            text="Number of slot pairs. The bootloader reads dependencies only if there are several.",
            panel=_BUILD_PANEL,
        ),
    ] = None
    require_all_checks: Annotated[
        bool,
        flag("--require-all-checks", text="Exit with code 3 if a key for a check is missing."),
    ] = False
