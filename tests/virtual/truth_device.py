"""The devices on which Nordic's own loader was run, and their images, as virtual ones; see vectors/truth/README.md."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from smpdfu.errors import FormatError
from smpdfu.image.format import Dependency, Image, Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import seal
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.encrypt import ctr, unwrap_key
from smpdfu.image.trailer import Trailer
from smpdfu.loaders.releases import LATEST, Partitions, Release, releases_of
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootResult, Ending, boot
from smpdfu.virtual.boot.build import AddressCheck, BootKeys, BootOptions
from smpdfu.virtual.boot.network.netcore import B0n, NetCore
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.layout import LAYOUTS, Layout

SIGNING, DECRYPTION, SEALING = (generate("ecdsa-p256") for _ in range(3))
HEADER, APP_SIZE, NET_SIZE = 0x200, 20_000, 12_000
OLD_FIRMWARE, NEW_FIRMWARE, LOW_FIRMWARE = 2, 3, 1
OLD_APP, NEW_APP = Version(1), Version(2)
AS_SLOT = -1


@dataclass(frozen=True)
class Variant:
    """A build: its name's parts are the mode and the options, as ``README.md`` has them."""

    name: str

    @property
    def mode(self) -> str:
        return self.name.split("+")[0]

    def has(self, option: str) -> bool:
        return option in self.name.split("+")[1:]

    @property
    def simultaneous(self) -> bool:
        return self.mode.startswith("sim")

    @property
    def layout(self) -> Layout:
        if self.simultaneous:
            mode = BootMode.MOVE if self.mode == "simmove" else BootMode.OVERWRITE_ONLY
            return replace(LAYOUTS["nrf5340dk-simultaneous"], mode=mode)
        names = {"move": "", "over": "-overwrite", "offset": "-offset", "scratch": "-scratch"}
        return LAYOUTS[f"nrf5340dk-staged{names[self.mode]}"]

    def keys(self, release: Release, b0n_answers: B0n) -> BootKeys:
        """As the SDK builds it, but for what the variant's name says."""
        checks_by_default = not self.simultaneous and self.has("load")
        partitions = Partitions.DTS if checks_by_default else Partitions.PM
        check = None
        if self.simultaneous and self.mode == "sim":
            check = AddressCheck.VECTOR if self.has("verify") else AddressCheck.NONE
        if self.simultaneous and self.has("load"):
            check = AddressCheck.HEADER
        options = BootOptions(
            downgrade_prevention=self.has("down"),
            loader=Loader(release, partitions),
            check_address=check,
            reads_net_version=self.has("version"),
            b0n=b0n_answers,
        )
        decryption = DECRYPTION if self.has("enc") else None
        return BootKeys((SIGNING.public,), decryption, net_verifiers=(SEALING.public,), options=options)


def releases(name: str) -> tuple[Release, ...]:
    """The releases that the data mean by a name."""
    return (releases_of("3.4.1")[0], LATEST) if name.startswith("main") else releases_of(name.removeprefix("NCS "))


@dataclass(frozen=True)
class Make:
    """An image to make. ``at`` is where its code is linked (None: where it belongs), ``rom`` the load address in its
    header: the slot's start, another, or 0 for none.
    """

    net: bool = False
    version: Version = NEW_APP
    at: int | None = None
    rom: int = AS_SLOT
    needs: tuple[tuple[int, Version], ...] = ()
    encrypt: bool = False
    firmware: int = NEW_FIRMWARE
    sealed: bool = True
    damaged: bool = False
    class_id: bytes | None = None
    non_bootable: bool = False
    counter: int | None = None


@dataclass
class TruthDevice:
    """A device of one variant and release, with application A1 and network firmware 2 in it."""

    variant: Variant
    release: Release
    answers: B0n = B0n.KEYS
    running: Make = Make(version=OLD_APP)
    blank_net: bool = False
    known: dict[str, set[bytes]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layout = self.variant.layout
        self.keys = self.variant.keys(self.release, self.answers)
        self.chip = Chip(self.layout)
        self.net = NetCore(self.chip.net, self.layout, self.keys.net_verifiers, self.log.append, self.answers)
        self.slots: list[Slots] = [
            self.keys.slots(self.chip.bus, self.layout, number) for number in range(len(self.layout.images))
        ]
        self.chip.load(self.slots[0].primary.area, self.make(self.running, "A1"))
        if not self.blank_net:
            self.chip.load(self.net.app, self.firmware(self.net.app.region.start, OLD_FIRMWARE))

    # --- images ---

    def firmware(self, address: int, version: int, *, sealed: bool = True) -> bytes:
        """Network firmware, sealed for b0n; without firmware info if it is not ``sealed``."""
        plain = _code(address, NET_SIZE, seed=100 + version)
        if not sealed:
            return plain
        info = FirmwareInfo(size=NET_SIZE, version=version, address=address).to_bytes()
        return seal(plain[:0x200] + info + plain[0x200 + len(info) :], address, SEALING)

    def payload(self, what: Make) -> bytes:
        home = self.net.app.region.start if what.net else self.layout.primary.start + HEADER
        address = home if what.at is None else what.at
        if not what.net:
            return _code(address, APP_SIZE, seed=what.version.major)
        data = bytearray(self.firmware(address, what.firmware, sealed=what.sealed))
        data[5000] ^= what.damaged
        return bytes(data)

    def make(self, what: Make, name: str) -> bytes:
        """The signed image; it is known by ``name`` from then on."""
        start = self.net.app.region.start if what.net else self.layout.primary.start
        spec = ImageSpec(
            what.version,
            HEADER,
            0,
            pad_header=True,
            rom_fixed=start if what.rom == AS_SLOT else what.rom,
            cid=what.class_id,
            non_bootable=what.non_bootable,
            security_counter=what.counter,
            dependencies=tuple(Dependency(image, version) for image, version in what.needs),
        )
        recipient = DECRYPTION.public if what.encrypt else None
        image = build(spec, self.payload(what), SIGNING, recipient, random.Random(1).randbytes)
        forms = {image.to_bytes()}
        if image.encryption_key_tlv is not None:
            key = unwrap_key(image.encryption_key_tlv, DECRYPTION, 16)
            forms.add(replace(image, payload=ctr(image.payload, key)).to_bytes())
        self.known[name] = forms
        return image.to_bytes()

    def stage(self, what: Make, image: int = 0, *, permanent: bool = False) -> None:
        """Upload an image and mark it."""
        secondary = self.slots[image].secondary
        data = self.make(what, "XY"[image])
        secondary.area.erase_all()
        secondary.area.program(secondary.image_start, data + b"\xff" * (-len(data) % 4))
        secondary.set_pending(permanent=permanent, image=image)

    def boot(self) -> BootResult:
        self.chip.forget()
        result = boot(self.chip.bus, self.layout, self.keys, self.log.append, self.net)
        self.chip.forget()
        return result

    # --- states ---

    def states(self, boots: int) -> Iterator[str]:
        """What was set up, then what each boot left."""
        yield f"set: {self._flash()}"
        for _ in range(boots):
            result = self.boot()
            yield f"{_ending(result)} | {self._flash()} | net={self._firmware()}"
            if result.ending is Ending.HANG:
                return

    def _flash(self) -> str:
        words = []
        for number, slots in enumerate(self.slots):
            if number != self.layout.network_image:
                words.append(f"p{number}={self._slot(slots.primary)}")
            words.append(f"s{number}={self._slot(slots.secondary)}")
            wanted = slots.next_boot()
            pending = "PEND" if number else wanted.name
            words.append(f"next{number}={'NONE' if wanted is SwapType.NONE else pending}")
        return " ".join(words)

    def _slot(self, slot: Slot) -> str:
        body = slot.area.read_all()
        if body.count(0xFF) == len(body):
            return "blank"
        starts = (0, self.layout.sector_size) if self.layout.mode is BootMode.OFFSET else (0,)
        names = [name for start in starts if (name := self._name(body[start:])) is not None]
        return (names[0] if names else "?") + _flags(slot.trailer())

    def _name(self, body: bytes) -> str | None:
        try:
            image = Image.from_bytes(body).to_bytes()
        except FormatError:
            return None
        return next((name for name, forms in self.known.items() if image in forms), None)

    def _firmware(self) -> str:
        found, start = self.net.app.read_all().rstrip(b"\xff"), self.net.app.region.start
        if not found:
            return "blank"
        names = {OLD_FIRMWARE: "old", NEW_FIRMWARE: "new", LOW_FIRMWARE: "low"}
        whole = (name for version, name in names.items() if self.firmware(start, version).rstrip(b"\xff") == found)
        return next(whole, "partial")


def _code(address: int, size: int, seed: int) -> bytes:
    table = struct.pack("<16I", 0x2000_4000, *(address + 0x101 + 2 * index for index in range(15)))
    return table + random.Random(seed).randbytes(size - len(table))


def _flags(trailer: Trailer) -> str:
    words = {"good": ["good"], "bad": ["bad"], "unset": []}[trailer.magic]
    words += ["ok"] * (trailer.image_ok == "set") + ["cd"] * (trailer.copy_done == "set")
    if not words:
        return ""
    return f"[{','.join(words if trailer.magic != 'unset' else ['unset', *words])}]"


def _ending(result: BootResult) -> str:
    if result.running is not None:
        return f"boots {result.running.header.version}"
    words = {Ending.CRASH: "crash (wrong code)", Ending.HANG: "HANG"}
    return words.get(result.ending, str(result.ending))
