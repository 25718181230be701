"""The device of the numbered behaviours, and whoever talks to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from smpdfu.errors import DeviceError
from smpdfu.image.format import Image, Version
from smpdfu.smp.groups.image import ImageUpload, StateRead, StateReply, StateWrite, UploadReply
from smpdfu.smp.message import Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.build import BootKeys
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        small_simultaneous,
    )
else:
    from virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        small_simultaneous,
    )

NEW = Version(2)
CHUNK = 1500
NET_KEYS = BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,))
ENCRYPTING = replace(NET_KEYS, decryption=DECRYPTION)


def piece(off: int, data: bytes, image: int = 0, size: int | None = None, sha: bytes | None = None) -> ImageUpload:
    return ImageUpload(off=off, data=data, image=image, len=size, sha=sha)


@dataclass
class Board:
    """A device of the bench that runs version 1 on both cores, and whoever talks to it."""

    bench: Bench = field(default_factory=lambda: Bench(keys=NET_KEYS))
    resources: Resources = field(default_factory=lambda: Resources(reset_delay_s=0.0))

    def __post_init__(self) -> None:
        bench = self.bench
        self.device = VirtualNrf5340(
            bench.layout, bench.keys, flashes=bench.chip.flashes, resources=self.resources, name="board"
        )
        bench.chip.power = self.device.chip.power
        bench.net = self.device.net_core
        self.device.load_app(bench.app_image(1))
        self.device.load_net(bench.net_image(1))
        self.device.reset()
        assert self.device.running is not None

    def ask(self, request: Request[Any], version: int = 2) -> Response | DeviceError:
        (answer,) = self.device.answers(request.to_bytes(5, version))
        return read_outcome(request, answer[8:])

    def refusal(self, request: Request[Any]) -> int | None:
        outcome = self.ask(request)
        return outcome.rc if isinstance(outcome, DeviceError) else None

    def upload(self, image: bytes, number: int = 0, *, confirm: bool | None = None) -> None:
        """Upload and, with ``confirm``, mark for a test (False) or for good (True)."""
        for off in range(0, len(image), CHUNK):
            data = image[off : off + CHUNK]
            size = len(image) if off == 0 else None
            assert self.ask(piece(off, data, number, size)) == UploadReply(off + len(data))
        if confirm is not None:
            assert isinstance(self.ask(StateWrite(Image.from_bytes(image).hash, confirm)), StateReply)

    def update(self, image: bytes, *, confirm: bool = False) -> None:
        """Upload, mark, reset."""
        self.upload(image, confirm=confirm)
        self.device.reset()

    def listed(self) -> list[tuple[int, int, str, bool]]:
        """Image, slot, version, confirmed."""
        reply = self.ask(StateRead())
        assert isinstance(reply, StateReply)
        return [(one.image or 0, one.slot, one.version or "", bool(one.confirmed)) for one in reply.images]

    @property
    def version(self) -> Version | None:
        """What the application core runs."""
        return None if self.device.running is None else self.device.running.header.version

    def net_holds(self, image: bytes) -> bool:
        """True if the network core's flash has what this image carries."""
        payload = Image.from_bytes(image).payload
        return self.device.net_core.app.read(0, len(payload)) == payload


def simultaneous(keys: BootKeys = NET_KEYS) -> Board:
    return Board(Bench(small_simultaneous(), keys))
