"""Uploads: to the end, over bad wires, and with proof."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import UploadProgress, UploadResult, image_hash
from smpdfu.errors import DeviceError, LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.link.memory import Faults
from smpdfu.smp.framing import DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.image import ImageRc, ImageSlot, ImageUpload, StateRead, StateReply, UploadReply
from smpdfu.smp.message import MgmtRc, Refusal

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import DATA, HASH, LONG_S, SHORT_S, Answer, FakeDevice, listing, no_match, with_client
else:
    from fake_device import DATA, HASH, LONG_S, SHORT_S, Answer, FakeDevice, listing, no_match, with_client


# --- upload ----------------------------------------------------------------------------------------------------------


def test_upload() -> None:
    device, seen = FakeDevice(), list[UploadProgress]()
    result = with_client(device.client(), lambda client: client.upload(DATA, progress=seen.append))
    assert device.stored == DATA
    assert (result.off, result.len, result.match, result.retries, result.resumed_at) == (
        len(DATA),
        len(DATA),
        True,
        0,
        0,
    )
    assert result.verified
    offs = [one.off for one in seen]
    assert offs == sorted(offs)
    assert (offs[0], offs[-1]) == (0, len(DATA))
    first = device.requests(ImageUpload)[0]
    assert (first.len, first.sha, first.image) == (len(DATA), hashlib.sha256(DATA).digest(), None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_upload_of_any_bytes(kind: Callable[[bytes], Any]) -> None:
    device = FakeDevice()
    with_client(device.client(), lambda client: client.upload(kind(DATA), 1, upgrade=True))
    assert device.stored == DATA
    assert (device.requests(ImageUpload)[0].image, device.requests(ImageUpload)[0].upgrade) == (1, True)


@pytest.mark.parametrize("framing", [RawFraming, DatagramFraming, GattFraming])
def test_upload_over_every_framing(framing: type[Framing]) -> None:
    device = FakeDevice(framing=framing)
    client = device.client()
    client._exchange.pipe.max_write = 100 if framing is not DatagramFraming else 256
    with_client(client, lambda client: client.upload(DATA))
    assert device.stored == DATA
    assert max(map(len, device.heard)) <= (256 if framing is DatagramFraming else 384)


def test_a_refusal_ends_the_upload() -> None:
    refusal = Refusal(ImageRc.NO_FREE_SLOT, group=1)
    device = FakeDevice({ImageUpload: lambda request: refusal})
    with pytest.raises(DeviceError, match="NO_FREE_SLOT"):
        with_client(device.client(), lambda client: client.upload(DATA))
    assert len(device.requests(ImageUpload)) == 1


def test_a_busy_device_is_asked_again() -> None:
    device = FakeDevice()
    turns = iter(range(10000))
    device.answers[ImageUpload] = lambda request: device.upload(request) if next(turns) % 3 else Refusal(MgmtRc.ENOMEM)
    result = with_client(device.client(), lambda client: client.upload(DATA))
    assert device.stored == DATA
    assert result.retries > 0


def test_upload_over_a_wire_that_is_cut_again_and_again() -> None:
    device = FakeDevice()
    result = with_client(device.client(Faults(cut_after_writes=4)), lambda client: client.upload(DATA))
    assert (device.stored, device.erasures) == (DATA, 1)
    assert result.match
    assert result.retries > 3


@pytest.mark.parametrize("seed", range(3))
def test_upload_over_a_bad_wire(seed: int) -> None:
    device = FakeDevice()
    faults = Faults(seed, loss=0.1, corruption=0.1, duplication=0.2)
    client = device.client(faults, timeout_s=SHORT_S, attempts=20)
    with_client(client, lambda client: client.upload(DATA, erase_timeout_s=8 * SHORT_S))
    assert device.stored == DATA


def test_the_cable_is_pulled_and_stays_out() -> None:
    device = FakeDevice()
    client = device.client(Faults(cut_after_writes=5, reconnect=False))
    with pytest.raises(LinkLostError, match=r"the link to the fake is lost and does not come back: .*cut"):
        with_client(client, lambda client: client.upload(DATA))
    assert 0 < len(device.buffer) < len(DATA)


def test_a_later_upload_goes_on() -> None:
    device = FakeDevice()
    with pytest.raises(LinkLostError):
        with_client(device.client(Faults(cut_after_writes=5, reconnect=False)), lambda client: client.upload(DATA))
    there = len(device.buffer)
    result = with_client(device.client(), lambda client: client.upload(DATA))
    assert result.resumed_at == there
    assert (device.stored, device.erasures) == (DATA, 1)


def test_a_device_that_makes_no_progress() -> None:
    device = FakeDevice({ImageUpload: lambda request: UploadReply(320)})
    with pytest.raises(RemoteProtocolError, match="no progress"):
        with_client(device.client(), lambda client: client.upload(DATA))


def test_a_device_that_erases_for_long_is_waited_for() -> None:
    device = FakeDevice(erase_s=4 * SHORT_S)
    client = device.client(timeout_s=SHORT_S, attempts=100)
    with_client(client, lambda client: client.upload(DATA, erase_timeout_s=8 * LONG_S))
    assert [request.off for request in device.requests(ImageUpload)].count(0) == 1


def test_a_device_that_falls_silent_in_the_middle() -> None:
    device = FakeDevice()
    device.answers[ImageUpload] = lambda request: device.upload(request) if request.off < 1000 else None
    with pytest.raises(ResponseTimeoutError, match="img upload"):
        with_client(device.client(timeout_s=SHORT_S), lambda client: client.upload(DATA))


def test_the_last_answer_is_lost_and_nothing_is_erased_twice() -> None:
    device = FakeDevice()
    slot = ImageSlot(slot=1, version="1.0.0", hash=HASH)
    device.answers[StateRead] = lambda request: StateReply((slot,) if device.stored else ())

    def lose_the_last(request: ImageUpload) -> Answer:
        first_time = not device.stored
        reply = device.upload(request)
        return None if device.stored and first_time else reply

    device.answers[ImageUpload] = lose_the_last
    result = with_client(device.client(timeout_s=SHORT_S), lambda client: client.upload(DATA))
    assert (device.stored, device.erasures) == (DATA, 1)
    assert (result.match, result.listed, result.verified) == (None, True, True)


def test_a_padded_image_is_not_taken_for_whole_because_its_hash_is_listed() -> None:
    padded = DATA + b"\xff" * 1000
    device = FakeDevice({StateRead: listing(ImageSlot(slot=1, version="1.0.0", hash=HASH))})
    stored_before: list[bytes] = []

    def lose_the_last(request: ImageUpload) -> Answer:
        stored_before.append(device.stored)
        reply = device.upload(request)
        return None if device.stored and not stored_before[-1] else reply

    device.answers[ImageUpload] = lose_the_last
    result = with_client(device.client(timeout_s=SHORT_S), lambda client: client.upload(padded))
    assert (device.stored, device.erasures, result.match) == (padded, 2, True)


# --- proof -----------------------------------------------------------------------------------------------------------


def proof(device: FakeDevice, data: bytes = DATA) -> UploadResult:
    return with_client(device.client(), lambda client: client.upload(data))


def test_the_list_proves_the_hash() -> None:
    running = ImageSlot(slot=0, version="0.9.0", hash=bytes(32), active=True)
    device = FakeDevice({StateRead: listing(running, ImageSlot(slot=1, version="1.0.0", hash=HASH))})
    device.answers[ImageUpload] = no_match(device)
    result = proof(device)
    assert (result.match, result.listed, result.verified, device.erasures) == (None, True, True, 1)


@pytest.mark.parametrize(
    "slots",
    [
        (),
        (ImageSlot(slot=1, version="1.0.0", hash=bytes(32)),),
        (ImageSlot(slot=0, version="1.0.0", hash=HASH, active=True),),  # it runs already: that proves nothing
    ],
)
def test_a_list_without_the_hash_is_an_error(slots: tuple[ImageSlot, ...]) -> None:
    device = FakeDevice({StateRead: listing(*slots)})
    device.answers[ImageUpload] = no_match(device)
    with pytest.raises(RemoteProtocolError, match="holds other bytes than were sent"):
        proof(device)
    assert device.erasures == 2  # it was given a second chance


def test_wrong_bytes_from_an_earlier_upload_are_repaired() -> None:
    device = FakeDevice({StateRead: lambda request: StateReply((slot,) if device.stored == DATA else ())})
    slot = ImageSlot(slot=1, version="1.0.0", hash=HASH)
    device.upload(ImageUpload(off=0, len=len(DATA), sha=hashlib.sha256(DATA).digest(), data=b"wrong" * 64))
    result = proof(device)
    assert (device.stored, result.listed, result.verified) == (DATA, True, True)


def test_what_cannot_be_proven_is_not_claimed() -> None:
    device = FakeDevice()
    device.answers[ImageUpload] = no_match(device)
    result = proof(device)
    assert (result.match, result.listed, result.verified) == (None, None, False)
    nameless = FakeDevice({StateRead: listing(ImageSlot(slot=1))})
    nameless.answers[ImageUpload] = no_match(nameless)
    assert proof(nameless).listed is None
    plain = FakeDevice({StateRead: listing()})
    plain.answers[ImageUpload] = no_match(plain)
    assert proof(plain, b"no image at all" * 9).listed is None


def test_the_hash_of_an_image() -> None:
    assert image_hash(DATA) == image_hash(memoryview(DATA + bytes(100))) == HASH
    assert image_hash(b"no image") is None
