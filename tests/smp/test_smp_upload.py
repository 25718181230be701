"""The upload's rules: what is sent, where it goes on, what the device says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import DeviceError, LocalProtocolError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.smp.groups.image import ImageRc, ImageUpload, UploadReply
from smpdfu.smp.message import MgmtRc
from smpdfu.smp.transfer.upload import PATIENCE, State, Upload, UploadProgress

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.smp.fake_target import DATA, SILENCE, FakeTarget, begun, next_of, run, run_anything, run_some
else:
    from fake_target import DATA, SILENCE, FakeTarget, begun, next_of, run, run_anything, run_some


# --- what is sent ----------------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=3000), st.integers(76, 4096), st.integers(0, 3), st.booleans())
def test_every_message_fits_and_all_bytes_arrive(data: bytes, message_max: int, image: int, upgrade: bool) -> None:
    upload, target = Upload(data, message_max=message_max, image=image, upgrade=upgrade), FakeTarget()
    sent = run(upload, target)
    assert target.stored == data
    assert (upload.match is True) or len(sent[0].request.sha or b"") < 32
    assert max(len(chunk.request.to_bytes(0)) for chunk in sent) <= message_max
    first, *others = [chunk.request for chunk in sent]
    assert (first.off, first.len, first.image, first.upgrade) == (0, len(data), image or None, upgrade or None)
    assert len(first.data) >= min(32, len(data))
    assert all({one.len, one.image, one.sha, one.upgrade} == {None} for one in others)
    assert all(len(one.data) % 4 == 0 for one in [first, *others][:-1])
    assert upload.progress == UploadProgress(len(data), len(data), 0, 0)


@pytest.mark.parametrize("message_max", [96, 256, 380, 1020, 2044, 65533])
def test_messages_are_full(message_max: int) -> None:
    upload = Upload(bytes(200_000), message_max=message_max)
    sent = run_anything(upload)
    for chunk in sent[1:-1]:
        assert message_max - len(chunk.request.to_bytes(0)) < 33


def test_sha_is_that_of_everything_and_shorter_where_there_is_no_room() -> None:
    digest = hashlib.sha256(DATA).digest()
    assert next_of(Upload(DATA, message_max=380)).request.sha == digest
    short = next_of(Upload(DATA, message_max=96)).request
    assert short.sha is not None
    assert 8 <= len(short.sha) < 32
    assert digest.startswith(short.sha)
    assert len(short.data) == 32
    assert next_of(Upload(DATA, message_max=60)).request.sha is None


def test_too_short_messages_are_refused_at_once() -> None:
    with pytest.raises(LocalProtocolError, match="messages of 59 bytes"):
        Upload(DATA, message_max=59)


@pytest.mark.parametrize(
    "make", [lambda: Upload(b"", message_max=380), lambda: Upload(DATA, message_max=380, window=0)]
)
def test_nothing_to_do_is_a_value_error(make: Callable[[], Upload]) -> None:
    with pytest.raises(ValueError, match=r"at least|1 to"):
        make()


def test_data_is_not_copied() -> None:
    data = bytearray(DATA)
    upload = Upload(memoryview(data), message_max=380)
    with pytest.raises(BufferError):
        data.append(0)  # the upload looks at these very bytes
    assert run_anything(upload)


# --- resume ----------------------------------------------------------------------------------------------------------


def test_resumes_where_the_device_stands() -> None:
    target = FakeTarget()
    begin = Upload(DATA, message_max=380)
    for _ in range(4):
        chunk = next_of(begin)
        begin.answered(chunk, target.take(chunk.request))
    there = len(target.buffer)
    upload = Upload(DATA, message_max=380)
    sent = run(upload, target)
    assert upload.resumed_at == upload.progress.resumed_at == there
    assert [chunk.request.off for chunk in sent[:2]] == [0, there]
    assert target.stored == DATA
    assert target.erasures == 1


def test_other_data_is_not_resumed() -> None:
    target = FakeTarget()
    target.take(ImageUpload(off=0, len=len(DATA), sha=b"other", data=bytes(352)))
    upload = Upload(DATA, message_max=380)
    run(upload, target)
    assert (target.stored, upload.resumed_at, target.erasures) == (DATA, 0, 2)


def test_a_device_that_has_everything() -> None:
    upload = Upload(DATA, message_max=380)
    upload.answered(next_of(upload), UploadReply(len(DATA), match=True))
    assert (upload.state, upload.match, upload.resumed_at) == (State.DONE, True, len(DATA))


# --- losses ----------------------------------------------------------------------------------------------------------


def test_a_lost_chunk_is_sent_again_as_it_was() -> None:
    upload, target = begun()
    lost = next_of(upload)
    upload.lost(lost, SILENCE)
    again = next_of(upload)
    assert again is lost
    assert again.sends == 2
    upload.answered(again, target.take(again.request))
    run(upload, target)
    assert target.stored == DATA
    assert upload.retries == 1


def test_a_lost_answer_does_no_harm() -> None:
    upload, target = begun()
    lost = next_of(upload)
    target.take(lost.request)
    upload.lost(lost, SILENCE)
    run(upload, target)
    assert target.stored == DATA


def test_silence_ends_with_its_own_error() -> None:
    upload, _ = begun()
    for _ in range(PATIENCE - 1):
        upload.lost(next_of(upload), SILENCE)
    chunk = next_of(upload)
    with pytest.raises(ResponseTimeoutError):
        upload.lost(chunk, SILENCE)


def test_progress_renews_patience() -> None:
    upload, target = begun()
    while upload.state is State.FLOW or upload.state is State.DRAIN:
        chunk = next_of(upload)
        if chunk.sends < PATIENCE:
            upload.lost(chunk, SILENCE)
        else:
            upload.answered(chunk, target.take(chunk.request))
    assert target.stored == DATA


def test_long_messages_that_never_pass_are_halved() -> None:
    upload, target = Upload(DATA, message_max=2044), FakeTarget()
    while upload.state is not State.DONE:
        chunk = next_of(upload)
        if len(chunk.request.to_bytes(0)) > 600:
            upload.lost(chunk, SILENCE)
        else:
            upload.answered(chunk, target.take(chunk.request))
    assert target.stored == DATA


def test_a_device_that_erases_for_long_gets_full_chunks_afterwards() -> None:
    upload, target = Upload(DATA, message_max=512), FakeTarget()
    for _ in range(4):
        upload.lost(next_of(upload), SILENCE)
    sent = run(upload, target)
    assert len(sent[1].request.to_bytes(0)) > 480
    assert upload.resumed_at == 0


def test_messages_of_a_length_that_has_passed_are_not_halved() -> None:
    upload, _ = begun()
    chunk = next_of(upload)
    size = len(chunk.request.data)
    for _ in range(PATIENCE - 1):
        upload.lost(chunk, SILENCE)
        chunk = next_of(upload)
    assert len(chunk.request.data) == size


# --- what the device says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [4, 32, 100])
def test_a_device_that_takes_less_than_was_sent(unit: int) -> None:
    upload, target = Upload(DATA, message_max=380), FakeTarget(unit=unit)
    run(upload, target)
    assert target.stored == DATA


def test_a_device_that_forgot_is_begun_again() -> None:
    upload, target = begun()
    run_some(upload, target, 3)
    target.forget()
    upload.answered(next_of(upload), UploadReply(0))
    assert next_of(upload).first
    assert upload.progress.off == 0


def test_a_device_that_asks_for_the_same_byte_again_and_again() -> None:
    upload, _ = begun()
    at = upload.progress.off
    with pytest.raises(RemoteProtocolError, match=f"no progress: the device keeps asking for byte {at}"):
        answer_all(upload, lambda request: UploadReply(at))


def test_a_device_that_never_begins() -> None:
    upload = Upload(DATA, message_max=380)
    with pytest.raises(RemoteProtocolError, match="no progress"):
        answer_all(upload, lambda request: UploadReply(0))


def test_a_device_that_falls_back_again_and_again() -> None:
    upload, target = begun()

    def forgetful(request: ImageUpload) -> UploadReply:
        if len(target.requests) % 3 == 2:
            target.forget()
        return target.take(request)

    with pytest.raises(RemoteProtocolError, match="no progress"):
        answer_all(upload, forgetful)


def answer_all(upload: Upload, answer: Callable[[ImageUpload], UploadReply]) -> None:
    """Answer chunks until the upload has enough, at most a hundred."""
    for _ in range(100):
        chunk = next_of(upload)
        upload.answered(chunk, answer(chunk.request))


def test_a_device_that_asks_beyond_the_end() -> None:
    upload, _ = begun()
    with pytest.raises(RemoteProtocolError, match="asks for byte"):
        upload.answered(next_of(upload), UploadReply(len(DATA) + 1))


@pytest.mark.parametrize("rc", [MgmtRc.ENOMEM, MgmtRc.EBUSY, MgmtRc.ECORRUPT])
def test_a_busy_device_is_asked_again(rc: MgmtRc) -> None:
    upload, _ = begun()
    chunk = next_of(upload)
    busy = DeviceError(None, rc, "img upload")
    for _ in range(PATIENCE - 1):
        upload.refused(chunk, busy)
        assert next_of(upload) is chunk
    with pytest.raises(DeviceError):
        upload.refused(chunk, busy)


@pytest.mark.parametrize(
    ("group", "rc"), [(1, ImageRc.NO_FREE_SLOT), (1, ImageRc.FLASH_WRITE_FAILED), (None, MgmtRc.EINVAL), (1, 10)]
)
def test_a_refusal_is_final(group: int | None, rc: int) -> None:
    upload, _ = begun()
    with pytest.raises(DeviceError):
        upload.refused(next_of(upload), DeviceError(group, rc, "img upload"))
