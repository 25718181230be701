"""The upload's rules: lost links, the window, and every event that can happen to a chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import DeviceError, LinkLostError, ProtocolError, ResponseTimeoutError, SmpdfuError
from smpdfu.smp.groups.image import UploadReply
from smpdfu.smp.message import MgmtRc
from smpdfu.smp.transfer.chunks import Chunk
from smpdfu.smp.transfer.upload import PATIENCE, State, Upload

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.smp.fake_target import (
        DATA,
        GONE,
        SILENCE,
        FakeTarget,
        FakeWire,
        begun,
        next_of,
        run,
        run_anything,
        run_some,
    )
else:
    from fake_target import DATA, GONE, SILENCE, FakeTarget, FakeWire, begun, next_of, run, run_anything, run_some


# --- the link --------------------------------------------------------------------------------------------------------


def test_a_lost_link_is_resumed_by_hash() -> None:
    upload, target = begun()
    run_some(upload, target, 3)
    there = len(target.buffer)
    target.take(next_of(upload).request)
    upload.link_lost(GONE)
    chunk = next_of(upload)
    assert chunk.first
    upload.answered(chunk, target.take(chunk.request))
    assert upload.progress.off > there
    run(upload, target)
    assert (target.stored, target.erasures, upload.resumed_at) == (DATA, 1, 0)


def test_a_lost_link_and_a_device_that_was_reset() -> None:
    upload, target = begun()
    run_some(upload, target, 3)
    upload.link_lost(GONE)
    target.forget()
    run(upload, target)
    assert (target.stored, target.erasures) == (DATA, 2)


def test_a_link_that_breaks_at_once_each_time() -> None:
    upload, _ = begun()
    for _ in range(PATIENCE - 1):
        next_of(upload)
        upload.link_lost(GONE)
    with pytest.raises(LinkLostError, match="cable"):
        upload.link_lost(GONE)


def to_the_last(upload: Upload, target: FakeTarget) -> Chunk:
    """Up to the last chunk, which the device takes; its answer is lost."""
    while (chunk := next_of(upload)).end < len(DATA):
        upload.answered(chunk, target.take(chunk.request))
    target.take(chunk.request)
    assert target.stored == DATA
    return chunk


@pytest.mark.parametrize("how", ["silence", "link"])
@pytest.mark.parametrize("there", [True, False])
def test_the_answer_to_the_last_chunk_is_lost(how: str, there: bool) -> None:
    upload, target = begun()
    chunk = to_the_last(upload, target)
    if how == "silence":
        upload.lost(chunk, SILENCE)
        assert next_of(upload) is chunk
        upload.answered(chunk, target.take(chunk.request))
    else:
        upload.link_lost(GONE)
    assert upload.state is State.DOUBT
    assert upload.next_chunk() is None
    upload.link_lost(GONE)  # while the caller looks
    upload.settle(complete=there)
    assert upload.state is (State.DONE if there else State.BEGIN)
    if there:
        assert upload.progress.off == len(DATA)
        assert target.erasures == 1
    else:
        assert next_of(upload).first


def test_a_device_that_forgot_before_the_last_chunk_has_not_finished() -> None:
    upload, _ = begun()
    while (chunk := next_of(upload)).end != len(DATA):
        upload.answered(chunk, UploadReply(chunk.end))
    upload.answered(chunk, UploadReply(0))
    assert next_of(upload).first


def test_only_doubt_is_settled() -> None:
    upload, _ = begun()
    with pytest.raises(ValueError, match="not in the state DOUBT"):
        upload.settle(complete=True)


def test_begin_again_writes_everything_again() -> None:
    upload, target = begun()
    run(upload, target)
    upload.begin_again()
    again = run(upload, target)
    assert again[0].request.sha is None
    assert upload.match is None
    assert (target.stored, target.erasures) == (DATA, 2)


def test_without_sha_a_lost_link_goes_on_with_the_data() -> None:
    upload, target = begun()
    run(upload, target)
    upload.begin_again()
    run_some(upload, target, 3)
    upload.link_lost(GONE)
    assert next_of(upload).request.off == len(target.buffer)
    upload.link_lost(GONE)
    run(upload, target)
    assert (target.stored, target.erasures) == (DATA, 2)


# --- the window ------------------------------------------------------------------------------------------------------


def test_the_window_is_used_after_the_first_answer() -> None:
    upload, target = Upload(DATA, message_max=380, window=3), FakeTarget()
    first = next_of(upload)
    assert upload.next_chunk() is None
    upload.answered(first, target.take(first.request))
    flight = [next_of(upload) for _ in range(3)]
    assert upload.next_chunk() is None
    ends = [first.end, *(chunk.end for chunk in flight)]
    assert [chunk.request.off for chunk in flight] == ends[:-1]
    upload.answered(flight[0], target.take(flight[0].request))
    assert next_of(upload).request.off == flight[-1].end


def test_the_window_ends_with_the_data() -> None:
    upload, target = begun(window=100)
    chunks = [next_of(upload)]
    while chunks[-1].end < len(DATA):
        chunks.append(next_of(upload))
    assert upload.next_chunk() is None
    for chunk in chunks:
        upload.answered(chunk, target.take(chunk.request))
    assert (upload.state, target.stored) == (State.DONE, DATA)


def test_the_last_chunk_is_cut_only_where_it_must_be() -> None:
    upload, _ = begun()
    room = len(next_of(upload).request.data)
    exact = Upload(bytes(upload.progress.off + room), message_max=380)
    assert [chunk.end for chunk in run_anything(exact)][1:] == [upload.progress.off + room]


def test_a_loss_drains_the_window() -> None:
    upload, target = begun(window=4)
    lost, second, third, fourth = (next_of(upload) for _ in range(4))
    assert upload.answered(second, target.take(second.request)) is False  # it wants the lost one
    for chunk in (third, fourth):
        assert upload.next_chunk() is None
        assert upload.answered(chunk, target.take(chunk.request))  # as is known by now
    assert next_of(upload) is lost
    upload.answered(lost, target.take(lost.request))
    run(upload, target)
    assert (target.stored, upload.retries) == (DATA, 4)


def test_a_later_answer_covers_a_lost_one() -> None:
    upload, target = begun(window=2)
    first, second = next_of(upload), next_of(upload)
    target.take(first.request)
    upload.answered(second, target.take(second.request))
    upload.lost(first, SILENCE)
    assert next_of(upload).request.off == second.end
    assert upload.retries == 0


def test_answers_may_overtake_each_other() -> None:
    upload, target = begun(window=2 * PATIENCE)
    chunks = [next_of(upload)]
    while (chunk := upload.next_chunk()) is not None:
        chunks.append(chunk)
    replies = [(chunk, target.take(chunk.request)) for chunk in chunks]
    for chunk, reply in reversed(replies):
        upload.answered(chunk, reply)
    run(upload, target)
    assert (target.stored, upload.retries) == (DATA, 0)


def test_after_silence_one_goes_alone_and_late_answers_still_count() -> None:
    upload, target = begun(window=3)
    flight = [next_of(upload) for _ in range(3)]
    replies = [target.take(chunk.request) for chunk in flight]
    upload.silence(SILENCE)
    assert next_of(upload) is flight[0]
    assert upload.next_chunk() is None
    for chunk, reply in zip(flight, replies, strict=True):
        assert upload.answered(chunk, reply)
    assert upload.progress.off == flight[2].end
    assert next_of(upload).request.off == flight[2].end
    assert upload.retries == 1


def test_silence_is_one_bad_event_however_much_was_in_flight() -> None:
    upload, _ = begun(window=8)
    for _ in range(PATIENCE - 1):
        while upload.next_chunk() is not None:
            pass
        upload.silence(SILENCE)
    next_of(upload)
    with pytest.raises(ResponseTimeoutError):
        upload.silence(SILENCE)


def test_silence_that_does_not_count_is_borne_for_ever() -> None:
    upload, target = begun()
    chunk = next_of(upload)
    for _ in range(10 * PATIENCE):
        upload.silence(SILENCE, counts=False)
        assert next_of(upload) is chunk
    upload.answered(chunk, target.take(chunk.request))
    run(upload, target)
    assert target.stored == DATA


def test_what_was_sent_behind_a_lost_chunk_is_not_waited_for() -> None:
    upload, target = begun(window=4)
    lost, second, third, fourth = (next_of(upload) for _ in range(4))
    upload.answered(second, target.take(second.request))
    upload.hurry()
    assert next_of(upload) is lost
    upload.answered(lost, target.take(lost.request))
    upload.answered(third, UploadReply(lost.request.off))  # an old word by now
    assert upload.progress.off == lost.end
    assert fourth in upload.awaited


def test_an_old_word_does_not_take_it_back() -> None:
    upload, target = begun(window=4)
    lost, second, third = (next_of(upload) for _ in range(3))
    upload.answered(third, UploadReply(lost.request.off))
    assert next_of(upload) is lost
    upload.answered(lost, target.take(lost.request))
    upload.answered(second, UploadReply(lost.request.off))
    assert upload.progress.off == lost.end
    assert next_of(upload).request.off == lost.end


def test_a_chunk_that_found_no_buffer_is_sent_again_when_the_others_are_through() -> None:
    upload, target = begun(window=3)
    first, second, third = (next_of(upload) for _ in range(3))
    upload.answered(first, target.take(first.request))
    upload.refused(second, DeviceError(None, MgmtRc.ENOMEM, "img upload"))
    assert upload.next_chunk() is None
    assert upload.answered(third, target.take(third.request))
    assert next_of(upload) is second
    upload.answered(second, target.take(second.request))
    run(upload, target)
    assert target.stored == DATA


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_the_last_answers_of_a_window_are_lost(answered: int) -> None:
    upload, target = begun(window=3)
    while len(DATA) - upload.progress.off > 3 * 352:
        chunk = next_of(upload)
        upload.answered(chunk, target.take(chunk.request))
    flight = []
    while (more := upload.next_chunk()) is not None:
        flight.append(more)
    assert flight[-1].end == len(DATA)
    replies = [target.take(chunk.request) for chunk in flight]
    assert target.stored == DATA
    for chunk, reply in list(zip(flight, replies, strict=True))[:answered]:
        upload.answered(chunk, reply)
    upload.silence(SILENCE)
    chunk = next_of(upload)
    upload.answered(chunk, target.take(chunk.request))  # the device has forgotten: it says 0
    assert upload.state is State.DOUBT
    upload.settle(complete=True)
    assert (upload.state, target.erasures) == (State.DONE, 1)


def test_a_device_that_restarts_with_a_window_in_flight_is_begun_again() -> None:
    upload, target = begun(window=4)
    flight = [next_of(upload) for _ in range(4)]
    upload.answered(flight[0], target.take(flight[0].request))
    target.forget()
    for chunk in flight[1:]:
        upload.answered(chunk, target.take(chunk.request))
    assert next_of(upload).first
    upload.answered(flight[3], UploadReply(0))
    assert upload.next_chunk() is None


@pytest.mark.parametrize("late", [1, 2])
def test_after_silence_old_words_of_what_was_behind_do_not_stop_the_flow(late: int) -> None:
    upload, target = begun(window=3)
    flight = [next_of(upload) for _ in range(3)]
    upload.silence(SILENCE)
    again = next_of(upload)
    assert again is flight[0]
    assert upload.answered(flight[late], UploadReply(again.request.off))  # the device lacked it then, and has it now
    assert upload.state is State.FLOW
    assert upload.answered(again, target.take(again.request))
    run(upload, target)
    assert target.stored == DATA


def test_a_late_answer_from_before_the_device_forgot_begins_nothing() -> None:
    upload, target = begun(window=2)
    first, second = (next_of(upload) for _ in range(2))
    upload.answered(first, UploadReply(0))
    upload.hurry()
    assert next_of(upload).first
    upload.answered(second, UploadReply(second.end))
    assert upload.state is State.BEGIN
    target.forget()
    upload.silence(SILENCE)
    run(upload, target)
    assert target.stored == DATA


EVENTS = [
    *["arrives"] * 4,
    "overtakes",
    "request lost",
    "answer lost",
    "twice",
    "busy",
    "silence",
    "late",
    "hurry",
    "link lost",
    "link lost, reset",
]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(EVENTS), max_size=80), st.integers(1, 8), st.sampled_from([1, 4, 32]), st.booleans())
def test_whatever_happens_it_ends_with_the_right_bytes_or_a_named_error(
    events: list[str], window: int, unit: int, doubts: bool
) -> None:
    wire = FakeWire(Upload(DATA, message_max=256, window=window), FakeTarget(unit=unit))
    upload, target = wire.upload, wire.target
    script = iter(events)
    try:
        for _ in range(3000):
            wire.send_all()
            if upload.state is State.DONE:
                break
            if upload.state is State.DOUBT:
                wire.chunks.clear()
                upload.settle(complete=target.stored == DATA and not doubts)
                continue
            wire.step(next(script, "arrives"))
        assert upload.state is State.DONE
        assert target.stored == DATA
        assert upload.requests <= 40 * (len(events) + 1)
    except (DeviceError, ProtocolError, LinkLostError, ResponseTimeoutError):
        assert len(events) >= PATIENCE - 1
    known = [*upload.awaited, *upload.dropped]
    assert (len(known), set(known)) == (len(wire.sent), wire.sent)  # each is in one place: its request can be closed


@settings(max_examples=200)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=80))
def test_a_device_that_says_anything_is_survived(offs: list[int]) -> None:
    upload = Upload(DATA, message_max=380)
    try:
        for number in range(2000):
            chunk = upload.next_chunk()
            if upload.state is State.DOUBT:
                upload.settle(complete=False)
                continue
            if chunk is None:
                break
            upload.answered(chunk, UploadReply(offs[number % len(offs)]))
    except SmpdfuError:
        return
    assert upload.state is State.DONE
