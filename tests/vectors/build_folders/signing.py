"""imgtool as the SDK calls it, with its randomness pinned, so that the same folder has the same bytes each time."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from tests.vectors.build_folders.firmware import ENCRYPT_KEY, SIGN_KEY
from tests.vectors.build_folders.kinds import Kind
from tests.vectors.build_folders.layouts import Part
from tests.vectors.pinned import Stream, pinned

ED25519_KEY = Path(__file__).with_name("dev-sign-ed25519.pem")
NETWORK_VERSION = "0.0.0+0"  # SB_CONFIG_SECURE_BOOT_MCUBOOT_VERSION, default: each release has the same


def key_file(kind: Kind) -> Path:
    """The key that the images of this kind are signed with."""
    return ED25519_KEY if kind.chip.key == "ed25519" else SIGN_KEY


def sign(arguments: list[str], infile: Path, outfile: Path) -> None:
    """Run imgtool 2.5.0; the randomness that it takes comes from the name of the file that it writes."""
    from imgtool.main import imgtool

    with pinned(Stream(outfile.name)), contextlib.redirect_stdout(io.StringIO()):
        imgtool.main(["sign", *arguments, str(infile), str(outfile)], "imgtool", standalone_mode=False)


def slot_arguments(kind: Kind, slot: Part, *, fixed: bool) -> list[str]:
    """What an image for ``slot`` is signed with, but for the key: N cmake/sysbuild/image_signing.cmake.

    ``fixed``: the header says where the slot is (direct-XIP, firmware loader, DTS builds of 3.4 that match addresses).
    """
    if kind.style == "dts":
        # CONFIG_ROM_START_OFFSET leaves room for the header inside the firmware; overwrite-only needs no alignment.
        one = (
            ["--overwrite-only", "--align", "1"] if kind.mode == "OVERWRITE_ONLY" else ["--align", str(kind.chip.align)]
        )
        words = ["--version", kind.version, *one, "--slot-size", hex(slot.size), "--header-size", hex(kind.chip.header)]
    else:
        words = ["--version", kind.version, "--align", str(kind.chip.align), "--slot-size", hex(slot.size)]
        words += ["--pad-header", "--header-size", hex(kind.chip.header)]
    return [*words, "--rom-fixed", hex(slot.address)] if fixed else words


def key_arguments(kind: Kind) -> list[str]:
    """The key and, for Ed25519 on the nRF54L, the hash that goes with it (N image_signing.cmake)."""
    words = ["-k", str(key_file(kind))]
    return [*words, "--sha", "512"] if kind.chip.key == "ed25519" else words


def sign_all(kind: Kind, arguments: list[str], source: Path, *, encrypted: bool, confirmed: bool = False) -> None:
    """Sign SOURCE.bin and SOURCE.hex to SOURCE.signed.*, as image_signing.cmake does for an image.

    ``encrypted``: also .signed.encrypted.*; the signed hex then is --clear, for the primary slot. ``confirmed``:
    also .signed.confirmed.*, padded to the slot and marked.
    """
    words = [*arguments, *key_arguments(kind)]
    encrypt = ["--encrypt", str(ENCRYPT_KEY)]
    for suffix in ("bin", "hex"):
        infile = source.with_name(f"{source.name}.{suffix}")
        if not infile.exists():  # TF-M writes no bin: both outputs come from tfm_merged.hex
            infile = source.with_name(f"{source.name}.hex")
        signed = source.parent / f"{'zephyr' if kind.tfm else source.name}.signed"
        extra = [*encrypt, "--clear"] if encrypted and suffix == "hex" else []
        sign([*words, *extra], infile, Path(f"{signed}.{suffix}"))
        if encrypted:
            sign([*words, *encrypt], infile, Path(f"{signed}.encrypted.{suffix}"))
        if confirmed:
            sign([*words, *extra, "--pad", "--confirm"], infile, Path(f"{signed}.confirmed.{suffix}"))


def sign_sealed(kind: Kind, slot: Part, source: Path, output: Path) -> None:
    """The second round of the network image, or of MCUboot itself: N cmake/sysbuild/b0_mcuboot_signing.cmake.

    In DTS builds the header's load address is what the loader of 3.4.1 recognises the image by (facts,
    generations.md); the stored version of the script does not show the option, so it is deduced.
    """
    words = ["--version", NETWORK_VERSION, "--align", "4", "--slot-size", hex(slot.size), "--pad-header"]
    words += ["--header-size", "0x200"]
    words += ["--rom-fixed", hex(slot.address)] if kind.style == "dts" else []
    for suffix in ("bin", "hex"):
        sign([*words, "-k", str(SIGN_KEY)], Path(f"{source}.{suffix}"), Path(f"{output}.{suffix}"))
