"""A device to update in tests: its key, its firmware, packages for it, and a host that sends them without a wire."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field, replace

from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.secure_dfu.flash import PAGE_SIZE
from smpdfu.image.secure_dfu.init_packet import (
    Command,
    FwType,
    Hash,
    InitCommand,
    OpCode,
    Packet,
    SignatureType,
    SignedCommand,
    signature_from_rs,
)
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.image.signing.ecdsa_form import numbers
from smpdfu.securedfu.protocol.messages import (
    Answer,
    Checksum,
    CreateObject,
    Execute,
    GetChecksum,
    ObjectType,
    Request,
    Result,
    Selected,
    SelectObject,
    WriteObject,
)
from smpdfu.virtual.nrf52.build import DEFAULT_BUILD, Nrf52Build, Trust
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.flashing import flash_application, flash_bootloader, flash_softdevice
from smpdfu.virtual.nrf52.layout import LAYOUTS
from smpdfu.virtual.store.sample_firmware import Core, stand_in

KEY = generate("ecdsa-p256")
OTHER_KEY = generate("ecdsa-p256")
NRF52840 = LAYOUTS["nrf52840-secure-dfu"]
S140_7_2 = SoftDeviceInfo(end=0x27000, fwid=0x100, family=140, version=7_002_000)


def firmware(start: int, number: int = 1, size: int = 8192) -> bytes:
    """An application that runs from ``start``."""
    code = stand_in(Core("nRF52", 0, start, NRF52840.ram.end), number)
    return (code * (size // len(code) + 1))[:size]


def bootloader(number: int = 1) -> bytes:
    return firmware(NRF52840.bootloader.start, number)


def new_device(
    build: Nrf52Build = DEFAULT_BUILD,
    *,
    softdevice: SoftDeviceInfo | None = None,
    app: bytes | None = None,
    app_version: int = 1,
) -> VirtualNrf52:
    """A device with a bootloader; not started yet."""
    device = VirtualNrf52(NRF52840, Trust(KEY.public, build))
    flash_bootloader(device.chip, bootloader())
    if softdevice is not None:
        flash_softdevice(device.chip, softdevice)
    if app is not None:
        flash_application(device.chip, build, app, app_version)
    return device


def init_command(image: bytes, **changes: object) -> InitCommand:
    """The init command of an application; ``changes`` replace its fields."""
    digest = hashlib.sha256(image).digest()
    usual = InitCommand(
        fw_version=2,
        hw_version=52,
        sd_req=(0,),
        type=FwType.APPLICATION,
        sd_size=0,
        bl_size=0,
        app_size=len(image),
        hash=Hash.of_digest(digest),
        is_debug=False,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def sign(init: InitCommand, key: PrivateKey = KEY) -> bytes:
    """A signed init packet."""
    command = Command(OpCode.INIT, init)
    return Packet(
        signed_command=SignedCommand(command, SignatureType.ECDSA_P256_SHA256, signature(init.to_bytes(), key))
    ).to_bytes()


def signature(data: bytes, key: PrivateKey = KEY) -> bytes:
    """As init packets have it."""
    pair = numbers(key.sign(data), 32, "tinycrypt")
    assert pair is not None
    return signature_from_rs(b"".join(one.to_bytes(32, "big") for one in pair))


@dataclass
class Host:
    """A host that talks to ``device`` without a wire, in writes of ``piece`` bytes.

    ``answers`` has all that came back.
    """

    device: VirtualNrf52
    piece: int = 64
    answers: list[Answer] = field(default_factory=list)

    def ask(self, request: Request) -> Answer:
        """Send a request, and return its answer; the device resets if it wants to."""
        raw = self.device.handle(request.to_bytes())
        assert raw is not None, f"no answer to {request}"
        answer = Answer.from_bytes(raw)
        self.answers.append(answer)
        self.device.finish_reset()
        return answer

    def succeed(self, request: Request) -> Answer:
        answer = self.ask(request)
        assert answer.result == Result.SUCCESS, f"{request}: {answer}"
        return answer

    def put(self, data: bytes) -> None:
        for at in range(0, len(data), self.piece):
            assert self.device.handle(WriteObject(data[at : at + self.piece]).to_bytes()) is None

    def send_init(self, packet: bytes) -> Answer:
        """Send an init packet; return the answer to its execution."""
        self.succeed(CreateObject(ObjectType.COMMAND, len(packet)))
        self.put(packet)
        assert self.succeed(GetChecksum()).content == Checksum(len(packet), zlib.crc32(packet))
        return self.ask(Execute())

    def send_data(self, image: bytes) -> Answer:
        """Send firmware from where the device stands; return the answer to the last execution."""
        selected = self.succeed(SelectObject(ObjectType.DATA)).content
        assert isinstance(selected, Selected)
        start = selected.offset // PAGE_SIZE * PAGE_SIZE
        answer = Answer(0)
        for at in range(start, len(image), PAGE_SIZE):
            page = image[at : at + PAGE_SIZE]
            self.succeed(CreateObject(ObjectType.DATA, len(page)))
            self.put(page)
            done = at + len(page)
            assert self.succeed(GetChecksum()).content == Checksum(done, zlib.crc32(image[:done]))
            answer = self.ask(Execute())
        return answer

    def update(self, packet: bytes, image: bytes) -> Answer:
        """Send all of an update; return the last answer."""
        answer = self.send_init(packet)
        return answer if answer.result != Result.SUCCESS else self.send_data(image)
