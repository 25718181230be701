"""A fleet of devices that hold who talks to them for as long as they can: each one ends, and the others are updated.

In simulated time: what takes hours is done at once, whatever the computer does meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from smpdfu.client import Client
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Limits, Treatment, Wave
from smpdfu.dfu.fleet.log.log import FleetLog, read_log
from smpdfu.dfu.fleet.run import FleetRun, Ports
from smpdfu.dfu.fleet.schedule import Outcome, Phase
from smpdfu.dfu.package.package import Package
from smpdfu.smp import cbor
from smpdfu.smp.groups import find_request
from smpdfu.smp.groups.image import ImageUpload, UploadReply
from smpdfu.smp.groups.os import Echo
from smpdfu.smp.message import Request, decode_map, split_message
from smpdfu.virtual.device import VirtualNrf5340
from tests.dfu.dfu_device import new_device, version, wire_of
from tests.dfu.test_dfu_fleet import standing
from tests.simulated import simulate, timed

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

T = TypeVar("T")
SIZE = 12_000
DEVICE_S = 300.0


class Hostile(VirtualNrf5340):
    """Takes ``step`` bytes of each piece of an upload, and ``delay_s`` for the answer."""

    step, delay_s = 1 << 20, 0.0

    def _handle(self, packet: bytes) -> tuple[list[bytes], float]:
        answers, seconds = super()._handle(packet)
        return answers, seconds + (self.delay_s if _kind(packet) is ImageUpload else 0.0)

    def answers(self, packet: bytes) -> list[bytes]:
        if _kind(packet) is not ImageUpload or self.running is None:
            return super().answers(packet)
        header, body = split_message(packet)
        return [header.reply(self.reply(ImageUpload.from_map(decode_map(body))))]

    def reply(self, request: ImageUpload) -> bytes:
        return self.upload(request).to_body()

    def upload(self, request: ImageUpload) -> UploadReply:
        step = self.step if request.off else len(request.data)
        return self._image_group.on_image_upload(replace(request, data=request.data[:step]))


class OneByte(Hostile):
    step = 1


class BelowTheFloor(Hostile):
    step, delay_s = 15, 1.0


class AboveTheFloor(Hostile):
    step, delay_s = 20, 1.0


class Promising(Hostile):
    def reply(self, request: ImageUpload) -> bytes:
        return cbor.dumps({"off": 1 << 62})


class Forgetful(Hostile):
    def upload(self, request: ImageUpload) -> UploadReply:
        reply = super().upload(request)
        return UploadReply(0) if reply.off > 4000 else reply


class EchoOnly(VirtualNrf5340):
    def answers(self, packet: bytes) -> list[bytes]:
        return super().answers(packet) if _kind(packet) is Echo else []


def _kind(packet: bytes) -> type[Request[Any]] | None:
    header, _ = split_message(packet)
    return find_request(header.op, header.group, header.command)


KINDS: Mapping[str, type[VirtualNrf5340]] = {
    "one-byte": OneByte,
    "below": BelowTheFloor,
    "above": AboveTheFloor,
    "promising": Promising,
    "forgetful": Forgetful,
    "echo": EchoOnly,
    "good": VirtualNrf5340,
}
TOO_SLOW = "upload app: answers that are no SMP"
EXPECTED = {
    "one-byte": (Outcome.INCOMPLETE, TOO_SLOW, "bytes in 64 answers"),
    "below": (Outcome.INCOMPLETE, TOO_SLOW, "bytes in 1"),
    "above": (Outcome.INCOMPLETE, "longer than device_timeout_s", "did not end within 300 s"),
    "promising": (Outcome.INCOMPLETE, TOO_SLOW, "UploadReply.off"),
    "forgetful": (Outcome.INCOMPLETE, TOO_SLOW, "upload"),
    "echo": (Outcome.UNREACHABLE, "no answer", "did not answer img state read"),
    "good": (Outcome.DONE, None, ""),
}


class Stage:
    """Devices, and a fleet of them in one wave with another one behind it."""

    def __init__(self, make: Maker, folder: Path, names: tuple[str, ...], **how: Any) -> None:
        self.folder, self.package = folder, make.package(make.image(size=SIZE))
        self.devices = {name: new_device(make, kind=KINDS[name]) for name in names}
        devices = {name: FleetDevice(name, f"virtual:{name}") for name in names}
        waves = (Wave("first", names[:-1]), Wave("last", names[-1:])) if len(names) > 1 else (Wave("all", names),)
        limits, treatment = Limits(at_once=2, wave_success=0.0), Treatment(**{"device_timeout_s": DEVICE_S} | how)
        self.fleet = Fleet("hostile", Path("hostile.toml"), devices, waves, {}, limits, treatment)

    def path(self, place: str) -> Path:
        return self.folder / f"{place[8:]}.jsonl"

    def _connect(self, device: FleetDevice) -> Client:
        pipe, framing = wire_of(self.devices[device.name])
        return Client(pipe, framing, transfer_timeout_s=self.fleet.treatment.transfer_timeout_s)

    @property
    def packages(self) -> dict[str, Package]:
        return {"default": self.package}

    def run(self) -> tuple[Phase, float]:
        schedule = standing(read_log(self.folder), self.fleet, self.packages).schedule(self.fleet, time.time())

        async def main() -> Phase:
            with FleetLog(self.folder) as log:
                return await FleetRun(self.fleet, schedule, log, Ports(self._connect, self.packages, self.path)).run()

        return simulate(timed(main()))

    def ends(self) -> dict[str, Mapping[str, Any]]:
        return {event.device: event.entry for event in read_log(self.folder) if event.kind == "end"}


def test_a_fleet_of_hostile_devices_ends_and_the_others_are_updated(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, tmp_path, tuple(KINDS))
    phase, seconds = stage.run()
    assert phase is Phase.DONE
    assert seconds <= len(KINDS) * (DEVICE_S + 10), "two at a time, each no longer than its bound"
    for name, (outcome, why, said) in EXPECTED.items():
        end = stage.ends()[name]
        assert (end["outcome"], end.get("cause")) == (outcome, why), end
        assert said in end.get("message", ""), end
    assert version(stage.devices["good"]) == "2.0.0"
    assert {name: version(one) for name, one in stage.devices.items() if name != "good"} == dict.fromkeys(
        set(KINDS) - {"good"}, "1.0.0"
    )


def test_a_device_that_was_stopped_is_resumed(make: Maker, tmp_path: Path) -> None:
    """What arrived is not sent again, so that a slow device is done after some runs."""
    stage = Stage(make, tmp_path, ("above",))
    runs = 0
    while version(stage.devices["above"]) != "2.0.0":
        stage.run()
        with Journal(stage.path("virtual:above")) as journal:
            assert journal.record.package == stage.package.digest
            assert journal.record.end in (None, "done")
        runs += 1
        assert runs < 10
    assert runs > 1
    assert stage.ends()["above"]["outcome"] == Outcome.DONE


def test_an_upload_has_a_bound_of_its_own(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, tmp_path, ("above",), transfer_timeout_s=60.0)
    _, seconds = stage.run()
    assert 60 <= seconds < 90
    end = stage.ends()["above"]
    assert (end["outcome"], end["cause"]) == (Outcome.INCOMPLETE, "upload app: longer than transfer_timeout_s")
    assert "the upload did not end within 60 s: " in end["message"]


def test_a_device_that_hangs_while_it_is_opened(make: Maker, tmp_path: Path) -> None:
    """Nothing was begun: it counts as one that does not answer."""
    stage = Stage(make, tmp_path, ("good",))

    class Hanging(Client):
        async def __aenter__(self) -> Client:  # type: ignore[override]  # it never gets so far
            await asyncio.sleep(1e6)
            raise AssertionError

    pipe, framing = wire_of(stage.devices["good"])
    stage._connect = lambda device: Hanging(pipe, framing)  # type: ignore[method-assign]
    _, seconds = stage.run()
    assert seconds < DEVICE_S + 10
    end = stage.ends()["good"]
    assert (end["outcome"], end["cause"]) == (Outcome.UNREACHABLE, "longer than device_timeout_s")
