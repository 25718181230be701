"""A small nRF5340 for the bench: slots of a few sectors, so that every flash operation of an update can be tried."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from smpdfu.image.build import ImageSpec, build
from smpdfu.image.format import Version
from smpdfu.image.keys import PrivateKey, generate
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual import b0n
from smpdfu.virtual.bootloader import BootKeys, BootResult, boot
from smpdfu.virtual.flash import Flash
from smpdfu.virtual.layout import NRF5340_NET, Layout, Region, SlotPair
from smpdfu.virtual.netcore import NetCore
from smpdfu.virtual.slot import Slots

SECTOR = 4096
SLOT_SECTORS = 7
HEADER = 0x200

SMALL = Layout(
    name="small",
    flash=Region("app flash", 0, (1 + 2 * SLOT_SECTORS) * SECTOR),
    mcuboot=Region("mcuboot", 0, SECTOR),
    images=(
        SlotPair(
            Region("primary", SECTOR, SLOT_SECTORS * SECTOR),
            Region("secondary", (1 + SLOT_SECTORS) * SECTOR, SLOT_SECTORS * SECTOR),
        ),
    ),
    net=NRF5340_NET,
    pcd=Region("pcd", 0x2000_0000, 0x2000),
)

SIGNING, DECRYPTION, NET_SIGNING = (generate("ecdsa-p256") for _ in range(3))


def firmware(seed: int, address: int, size: int) -> bytes:
    """Firmware that is linked for ``address``: a vector table, then noise that is the same for the same seed."""
    table = struct.pack("<16I", 0x2000_4000, *(address + 0x101 + 2 * index for index in range(15)))
    return table + random.Random(seed).randbytes(size - len(table))


def net_firmware(seed: int, address: int, size: int) -> bytes:
    """Network firmware with firmware info, as CONFIG_FW_INFO puts it in."""
    info = b0n.FirmwareInfo(size=size, version=1, address=address).to_bytes()
    plain = firmware(seed, address, size)
    return plain[:0x200] + info + plain[0x200 + len(info) :]


@dataclass
class Bench:
    """A device and the keys of those who make images for it."""

    layout: Layout = SMALL
    keys: BootKeys = field(default_factory=lambda: BootKeys((SIGNING.public,)))
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = Flash(self.layout.flash.start, self.layout.flash.size_bytes)
        net = self.layout.net
        self.net_flash = Flash(net.flash.start, net.flash.size_bytes, page_size=net.page_size)
        self.net = NetCore(self.net_flash, self.layout, self.keys.net_verifiers, self.log.append)

    @property
    def slots(self) -> Slots:
        return Slots.of(self.app, self.layout, encrypted_key_size=self.keys.saved_key_size)

    @property
    def signing_pem(self) -> bytes:
        """The private key that the device trusts, as a file."""
        return SIGNING.to_private_pem()

    def payload(self, address: int, size: int = 9000) -> bytes:
        """Firmware that is linked for ``address``."""
        return firmware(2, address, size)

    def image(self, payload: bytes, *, key: PrivateKey | None = SIGNING, **options: Any) -> bytes:
        """Sign ``payload``; ``encrypt`` is whom for, everything else an option of ``ImageSpec``."""
        recipient: PrivateKey | None = options.pop("encrypt", None)
        spec = replace(ImageSpec(Version(1), HEADER, 0, pad_header=True), **options)
        return build(spec, payload, key, recipient and recipient.public, random.Random(1).randbytes).to_bytes()

    def app_image(self, seed: int, size: int = 9000, **options: Any) -> bytes:
        """A signed application image, linked for the primary slot."""
        return self.image(firmware(seed, self.layout.primary.start + HEADER, size), **options)

    def linked_image(self, address: int, **options: Any) -> bytes:
        """A signed image that is linked for ``address``."""
        return self.image(firmware(4, address, 9000), **options)

    def net_image(self, seed: int, size: int = 9000, *, seal: PrivateKey | None = NET_SIGNING, **options: Any) -> bytes:
        """A signed network image; sealed for b0n, or plain Zephyr's without firmware info when ``seal`` is None."""
        address = self.layout.net.app.start
        if seal is None:
            return self.image(firmware(seed, address, size), **options)
        return self.image(b0n.seal(net_firmware(seed, address, size), address, seal), **options)

    def write(self, slot: str, image: bytes) -> None:
        """Put an image into the ``primary`` or ``secondary`` slot, as a debugger or an upload does."""
        area = getattr(self.slots, slot).area
        area.erase_all()
        area.program(0, image + b"\xff" * (-len(image) % 4))

    def upload(self, image: bytes, *, permanent: bool = False) -> None:
        """Put an image into the secondary slot and mark it."""
        self.write("secondary", image)
        self.slots.secondary.set_pending(permanent=permanent)

    def boot(self) -> BootResult:
        """One boot of the application core."""
        return boot(self.app, self.layout, self.keys, self.log.append, self.net)

    def holds(self, slot: str, image: bytes) -> bool:
        """True if the slot begins with these bytes."""
        area = getattr(self.slots, slot).area
        return bool(area.read(0, len(image)) == image)

    def is_blank(self, slot: str) -> bool:
        """True if the whole slot is erased."""
        contents = getattr(self.slots, slot).area.read_all()
        return bool(contents.count(0xFF) == len(contents))


@pytest.fixture
def bench() -> Bench:
    """A device that takes signed images and knows no encryption."""
    return Bench()


@pytest.fixture
def encrypted_bench() -> Bench:
    """A device whose bootloader is built with encryption."""
    return Bench(keys=BootKeys((SIGNING.public,), DECRYPTION))


@pytest.fixture
def provisioned_bench() -> Bench:
    """A device whose network core takes only what is signed for b0n."""
    return Bench(keys=BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,)))


@pytest.fixture
def overwrite_bench() -> Bench:
    """A device whose bootloader overwrites and does not swap."""
    return Bench(layout=replace(SMALL, mode=SwapMode.OVERWRITE_ONLY))
