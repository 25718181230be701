"""Images of MCUboot itself, as a build for b0 makes them: one for each of its two slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.signing.build import ImageSpec, build
from tests.dfu.conftest import firmware, sealed

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

SLOT_START = (0x8000, 0x14000)
HEADER = 0x200
FILES = ("signed_by_mcuboot_and_b0_mcuboot.bin", "signed_by_mcuboot_and_b0_s1_image.bin")


def mcuboot_image(
    make: Maker,
    slot: int,
    version: int = 2,
    *,
    start: int | None = None,
    linked: int | None = None,
    claimed: int | None = None,
    key: PrivateKey | None = None,
    seal_key: PrivateKey | None = None,
    info: bool = True,
    info_at: int = 0x200,
    encrypted: bool = False,
    size: int = 1500,
    named: bool = True,
) -> PackageImage:
    """MCUboot for ``slot``, of firmware ``version``; ``start`` is where that slot begins.

    ``linked``: where its vectors point to, ``claimed``: what the manifest says, ``key`` signs it for MCUboot,
    ``seal_key`` seals it for b0. ``info``: it has firmware info, at ``info_at``. ``named``: the manifest names the
    slot.
    """
    begin = SLOT_START[slot] if start is None else start
    at = begin + HEADER
    code = firmware(at if linked is None else linked, size, version)
    if info:
        code = sealed(code, at, seal_key or make.key, version, info_at)
    spec = ImageSpec(Version(1, version), header_size=HEADER, slot_size=0, pad_header=True, rom_fixed=begin)
    image = build(spec, code, key or make.key, make.encryption.public if encrypted else None)
    entry: dict[str, object] = {"type": "mcuboot", "load_address": begin if claimed is None else claimed}
    entry |= {"slot": str(slot)} if named else {}
    return PackageImage.from_bytes(image.to_bytes(), FILES[slot], entry)


def both_slots(make: Maker, version: int = 2, **how: object) -> Package:
    """The package of a build: a file for each slot."""
    return Package(tuple(mcuboot_image(make, slot, version, **how) for slot in (0, 1)))  # type: ignore[arg-type]  # any of them
