"""What in a build contradicts itself, or the keys that are given: each is an error with the fact and its file.

The codes are for programs: ``build-boards``, ``build-sdk`` (two cores of different builds); ``build-key-type``,
``build-needs-encryption``, ``build-no-encryption``, ``build-encryption-type`` (keys); ``build-not-signed``,
``build-no-firmware`` (a file is missing); ``build-image`` (a signed image is not as the build is configured).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from smpdfu.dfu.build_folder.build import Build, BuildImage, BuildRole, BuildWarning, Fact
from smpdfu.dfu.build_folder.named_keys import named_key
from smpdfu.errors import PackageError
from smpdfu.image.keys.keys import SIGNATURES, PublicHalf

if TYPE_CHECKING:
    from smpdfu.image.signing.encrypt import Recipient

_CORE_IN_NAME = re.compile(r"(?:_nrf5340)?_cpu(?:app|net)(?:_ns)?$")


def check_cores(build: Build) -> None:
    """Raises PackageError where the images of the two cores are not of one build: other boards, other releases.

    The times of files prove nothing, so nobody looks at them.
    """
    network = build.image(BuildRole.NETWORK)
    if network is None:
        return
    app = build.application
    if app.board is not None and network.board is not None:
        boards = (_plain_board(app.board.value), _plain_board(network.board.value))
        if boards[0] != boards[1]:
            raise _differ("boards", app.board, network.board).because("build-boards", file=network.board.file)
    for what, one, other in (
        ("releases of the SDK", app.ncs, network.ncs),
        ("releases of Zephyr", app.zephyr, network.zephyr),
    ):
        if one is not None and other is not None and one.value != other.value:
            raise _differ(what, one, other).because("build-sdk", file=other.file)


def _differ(what: str, app: Fact[str], network: Fact[str]) -> PackageError:
    return PackageError(
        f"the cores have images of two builds, for different {what}: {app.value} ({app.origin}) and {network.value} "
        f"({network.origin}). Build both again in one folder"
    )


def _plain_board(name: str) -> str:
    """The board without its core: ``nrf5340dk`` of ``nrf5340dk/nrf5340/cpunet`` and ``nrf5340dk_nrf5340_cpunet``."""
    return _CORE_IN_NAME.sub("", re.split("[/@]", name)[0])


# --- keys -----------------------------------------------------------------------------------------------------------


def check_keys(build: Build, signer: PublicHalf | None, recipient: Recipient | None) -> None:
    """Raises PackageError for a key of another type than the build's, and one too many or too few."""
    loader = build.bootloader
    wanted = loader.signature
    if signer is not None and wanted is not None and wanted.value in SIGNATURES:
        kind = kind_of(signer)
        if kind != wanted.value:
            raise PackageError(
                f"the bootloader of this build checks signatures of {wanted.value} keys ({wanted.origin}), and the key "
                f"that was given is of type {kind}"
            ).because("build-key-type", file=wanted.file, wanted=wanted.value, given=kind)
    if recipient is not None and loader.encryption is None:
        place = _place_of_mcuboot(build)
        raise PackageError(
            f"the bootloader of this build decrypts nothing ({place}: no CONFIG_BOOT_ENCRYPT_ is set), so it "
            "refuses an encrypted image"
        ).because("build-no-encryption", file=place)
    if recipient is not None and loader.encryption is not None and recipient.kind.name != loader.encryption.value:
        raise PackageError(
            f"the bootloader of this build decrypts with {loader.encryption.value} ({loader.encryption.origin}), and "
            f"the key that was given is of type {recipient.kind.name}"
        ).because("build-encryption-type", file=loader.encryption.file)
    if signer is not None and recipient is None and loader.encryption is not None:
        raise PackageError(
            f"the build encrypts its images ({loader.encryption.origin}), no key for that was given, and "
            f"{_lost_key(loader.encryption_key_file)}"
        ).because("build-needs-encryption", file=loader.encryption.file)


def _lost_key(fact: Fact[str] | None) -> str:
    if fact is None:
        return "the build names none"
    return f"the key of the build, {fact.value} ({fact.origin}), is not on this computer"


def kind_of(signer: PublicHalf) -> str:
    """The kind of key, such as ``ecdsa-p256``."""
    return next((name for name, algorithm in SIGNATURES.items() if algorithm is signer.algorithm), "unknown")


def key_warnings(build: Build, signer: PublicHalf | None) -> Iterator[BuildWarning]:
    """What is to be said of a key that fits by its type."""
    built_in = build.bootloader.public_key or named_key(build)
    if signer is not None and built_in is not None and built_in.value != signer.public_bytes:
        yield BuildWarning(
            "build-other-key",
            f"the bootloader of this build has another key built in ({built_in.origin}): it refuses these images, and "
            "so does each device with it",
        )
    wanted = build.bootloader.signature
    if signer is not None and wanted is not None and wanted.value == "none":
        yield BuildWarning("build-unchecked", f"the bootloader of this build checks no signature ({wanted.origin})")


def _place_of_mcuboot(build: Build) -> str:
    image: BuildImage = build.image(BuildRole.MCUBOOT) or build.application
    return image.config.file
