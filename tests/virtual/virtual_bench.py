"""A small nRF5340 for the bench: slots of a few sectors, so that every flash operation of an update can be tried."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from typing import Any

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import seal as seal_firmware
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.boot.bootloader import BootKeys, BootResult, boot
from smpdfu.virtual.boot.network.netcore import NetCore
from smpdfu.virtual.boot.slot import Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.layout import NRF5340_NET, OTP, XIP, Layout, Region, SlotPair

SECTOR = 4096
SLOT_SECTORS = 7
HEADER = 0x200
PCD = Region("pcd", 0x2000_0000, 0x2000)

SIGNING, DECRYPTION, NET_SIGNING = (generate("ecdsa-p256") for _ in range(3))


def small_layout(mode: SwapMode | BootMode = BootMode.MOVE, images: int = 1, sectors: int = SLOT_SECTORS) -> Layout:
    """Slots side by side in the chip's flash, as many pairs as there are images."""
    at, pairs, size = SECTOR, [], sectors * SECTOR
    for number in range(images):
        end = "" if number == 0 else f"_{number}"
        pairs.append(SlotPair(Region(f"primary{end}", at, size), Region(f"secondary{end}", at + size, size)))
        at += 2 * size
    scratch = Region("scratch", at, 2 * SECTOR) if mode is SwapMode.SCRATCH else None
    return Layout(
        name="small",
        flash=Region("app flash", 0, scratch.end if scratch else at),
        mcuboot=Region("mcuboot", 0, SECTOR),
        images=tuple(pairs),
        net=NRF5340_NET,
        pcd=PCD,
        mode=BootMode(mode),
        scratch=scratch,
    )


def small_simultaneous(sectors: int = SLOT_SECTORS) -> Layout:
    """Both secondary slots in external flash, the network core's primary slot in RAM."""
    size = sectors * SECTOR
    ram = Region("primary_1", 0x2001_0000, size)
    return Layout(
        name="small-simultaneous",
        flash=Region("app flash", 0, SECTOR + size),
        mcuboot=Region("mcuboot", 0, SECTOR),
        images=(
            SlotPair(Region("primary", SECTOR, size), Region("secondary", XIP, size)),
            SlotPair(ram, Region("secondary_1", XIP + size, size)),
        ),
        net=NRF5340_NET,
        pcd=PCD,
        mode=BootMode.OVERWRITE_ONLY,
        external=Region("external flash", XIP, 2 * size),
        ram=replace(ram, name="ram flash"),
        otp=OTP,
        network_image=1,
    )


SMALL = small_layout()


def firmware(seed: int, address: int, size: int) -> bytes:
    """Firmware that is linked for ``address``: a vector table, then noise that is the same for the same seed."""
    table = struct.pack("<16I", 0x2000_4000, *(address + 0x101 + 2 * index for index in range(15)))
    return table + random.Random(seed).randbytes(size - len(table))


def net_firmware(seed: int, address: int, size: int, version: int = 1) -> bytes:
    """Network firmware with firmware info, as CONFIG_FW_INFO puts it in."""
    info = FirmwareInfo(size=size, version=version, address=address).to_bytes()
    plain = firmware(seed, address, size)
    return plain[:0x200] + info + plain[0x200 + len(info) :]


@dataclass
class Bench:
    """A device and the keys of those who make images for it."""

    layout: Layout = SMALL
    keys: BootKeys = field(default_factory=lambda: BootKeys((SIGNING.public,)))
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chip = Chip(self.layout)
        self.app, self.net_flash = self.chip.app, self.chip.net
        b0n_answers = self.keys.options.b0n
        self.net = NetCore(self.net_flash, self.layout, self.keys.net_verifiers, self.log.append, b0n_answers)

    @property
    def slots(self) -> Slots:
        return self.slots_of(0)

    def slots_of(self, image: int) -> Slots:
        """The slots of an image."""
        return self.keys.slots(self.chip.bus, self.layout, image)

    @property
    def signing_pem(self) -> bytes:
        """The private key that the device trusts, as a file."""
        return SIGNING.to_private_pem()

    def payload(self, address: int, size: int = 9000) -> bytes:
        """Firmware that is linked for ``address``."""
        return firmware(2, address, size)

    def image(self, payload: bytes, *, key: PrivateKey | None = SIGNING, **options: Any) -> bytes:
        """Sign ``payload``; ``encrypt`` is whom for, everything else an option of ``ImageSpec``."""
        recipient: Any = options.pop("encrypt", None)
        spec = replace(ImageSpec(Version(1), HEADER, 0, pad_header=True), **options)
        return build(spec, payload, key, recipient and recipient.public, random.Random(1).randbytes).to_bytes()

    def app_image(self, seed: int, size: int = 9000, number: int = 0, **options: Any) -> bytes:
        """A signed application image, linked for the primary slot of image ``number``."""
        return self.image(firmware(seed, self.layout.images[number].primary.start + HEADER, size), **options)

    def linked_image(self, address: int, **options: Any) -> bytes:
        """A signed image that is linked for ``address``."""
        return self.image(firmware(4, address, 9000), **options)

    def net_image(self, seed: int, size: int = 9000, *, seal: PrivateKey | None = NET_SIGNING, **options: Any) -> bytes:
        """A signed network image; sealed for b0n, or plain Zephyr's without firmware info when ``seal`` is None."""
        address, counter = self.layout.net.app.start, options.pop("counter", 1)
        if seal is None:
            return self.image(firmware(seed, address, size), **options)
        return self.image(seal_firmware(net_firmware(seed, address, size, counter), address, seal), **options)

    def write(self, slot: str, image: bytes, number: int = 0) -> None:
        """Put an image into the ``primary`` or ``secondary`` slot, as a debugger or an upload does."""
        found = getattr(self.slots_of(number), slot)
        found.area.erase_all()
        found.area.program(found.image_start, image + b"\xff" * (-len(image) % 4))

    def upload(self, image: bytes, *, permanent: bool = False, number: int = 0) -> None:
        """Put an image into the secondary slot and mark it."""
        self.write("secondary", image, number)
        self.slots_of(number).secondary.set_pending(permanent=permanent, image=number)

    def boot(self) -> BootResult:
        """One boot of the application core; RAM is forgotten before."""
        self.chip.forget()
        return boot(self.chip.bus, self.layout, self.keys, self.log.append, self.net)

    def holds(self, slot: str, image: bytes) -> bool:
        """True if the slot begins with these bytes."""
        area = getattr(self.slots, slot).area
        return bool(area.read(0, len(image)) == image)

    def is_blank(self, slot: str) -> bool:
        """True if the whole slot is erased."""
        contents = getattr(self.slots, slot).area.read_all()
        return bool(contents.count(0xFF) == len(contents))
