"""Small images, packages and device states."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

import pytest

from smpdfu.dfu.decide.checks.findings import Finding
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.image.format import Dependency, Image, Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.smp.groups.image import ImageSlot, SlotInfoImage, SlotInfoSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.nsib_bench import unchecked_seal

CODE = {Core.APP: 0xC200, Core.NET: 0x0100_8800}
FILES = {Core.APP: "app_update.bin", Core.NET: "net_core_update.bin"}
SLOT_BYTES = 0x7A000


def firmware(address: int, size: int = 600, mark: int = 0) -> bytes:
    """A vector table for this address and bytes that ``mark`` makes other ones."""
    handlers = [address + 0x101 + 4 * number for number in range(15)]
    table = struct.pack("<16I", 0x2002_0000, *handlers)
    return table + bytes((mark + at) % 251 for at in range(size - len(table)))


def sealed(code: bytes, address: int, key: PrivateKey, version: int = 1, info_at: int = 0x200) -> bytes:
    """The same with b0n's firmware info in it, for firmware ``version``, and its validation info behind it."""
    info = FirmwareInfo(len(code), version, address).to_bytes()
    return unchecked_seal(code[:info_at] + info + code[info_at + len(info) :], address, key)


def noted(found: Iterable[Finding]) -> list[Finding]:
    """The findings without the note that no key of NSIB was given, which is in ``test_dfu_seals``."""
    return [one for one in found if not (one.code == "seal" and "unchecked" in one.facts)]


def is_like_any_ciphertext(image: Image) -> bool:
    """True where the word in the place of the reset vector is above both cores' flash, as all but one in 128 are."""
    vector = image.reset_vector
    return vector is None or vector >= 0x0200_0000


@dataclass(frozen=True)
class Maker:
    """Makes what a test needs in one line each; everything is signed by one key."""

    key: PrivateKey
    encryption: PrivateKey

    def data(self, core: Core = Core.APP, version: str = "2.0.0", **how: object) -> bytes:
        """A file. ``address``, ``size`` and ``mark`` are the firmware's; ``signed``, ``encrypted``, ``clear``.

        ``sealed``: a network image is for b0n, too, as ``firmware_version``; ``breaks`` is where its firmware has a
        flipped bit. ``fixed``: the load address in the header, 0 for none; without it, that of the slot. ``ram``: the
        bootloader is to load it to this address.
        """
        size, mark, address = (
            how.get(name, default) for name, default in (("size", 600), ("mark", 0), ("address", None))
        )
        assert isinstance(size, int)
        assert isinstance(mark, int)
        where, ram = address if isinstance(address, int) else CODE[core], cast("int", how.get("ram", 0))
        code = firmware(where, size, mark)
        if core is Core.NET and how.get("sealed", True):
            code = sealed(code, where, self.key, cast("int", how.get("firmware_version", 1)))
        if isinstance(at := how.get("breaks"), int):
            code = code[:at] + bytes([code[at] ^ 1]) + code[at + 1 :]
        spec = ImageSpec(Version.from_text(version), header_size=0x200, slot_size=0, pad_header=True)
        needs, counter = how.get("needs"), how.get("counter")
        dependencies = () if needs is None else (Dependency(*cast("tuple[int, Version]", needs)),)
        slot = where - 0x200 if core is Core.APP else where
        fixed = cast("int", how.get("fixed", 0 if ram else max(slot, 0)))
        cid = cast("bytes | None", how.get("cid"))
        spec = replace(spec, clear=bool(how.get("clear")), dependencies=dependencies, rom_fixed=fixed, cid=cid)
        spec = replace(spec, load_addr=ram)
        if counter is not None:
            spec = replace(spec, security_counter=cast("int", counter))
        signer = self.key if how.get("signed", True) else None
        while True:
            image = build(spec, code, signer, self.encryption.public if how.get("encrypted") else None)
            # What loaders before NCS 2.8 take for a network image: nearly every one, so let a test have no other.
            if not image.encrypted or spec.clear or is_like_any_ciphertext(image):
                return image.to_bytes()

    def image(self, role: Role = Role.APP, version: str = "2.0.0", **how: object) -> PackageImage:
        """The application, or the network core's image."""
        core = role.core
        return PackageImage.from_bytes(self.data(core, version, **how), FILES[core], {"load_address": CODE[core]})

    def package(self, *images: PackageImage) -> Package:
        """A package of these; without any, one of both cores."""
        chosen = images or (self.image(Role.APP), self.image(Role.NET))
        return new_package([(image, CODE[image.core]) for image in chosen])


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))


OLD = ImageSlot(slot=0, version="1.0.0", hash=b"\x11" * 32, bootable=True, confirmed=True, active=True)
SIZES = (SlotInfoImage(image=0, slots=tuple(SlotInfoSlot(slot=slot, size=SLOT_BYTES) for slot in (0, 1))),)
IDLE = DeviceState((OLD,), SIZES, BootloaderMode.SWAP_USING_MOVE, board="nrf5340dk/nrf5340/cpuapp")

_PAIR_1 = SlotInfoImage(image=1, slots=tuple(SlotInfoSlot(slot=slot, size=0x40000) for slot in (0, 1)))
BOTH = replace(IDLE, sizes=(*SIZES, _PAIR_1), mode=BootloaderMode.OVERWRITE_ONLY)
"""A device with an image pair for each core, that runs 1.0.0."""

State = Callable[..., DeviceState]


@pytest.fixture
def state() -> State:
    """A device that runs 1.0.0 and has nothing else; keywords change its fields."""

    def changed(*slots: ImageSlot, **fields: object) -> DeviceState:
        return replace(IDLE, slots=slots or IDLE.slots, **fields)  # type: ignore[arg-type]  # any field of the class

    return changed
