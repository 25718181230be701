"""Sessions: numbers, matching, strays, versions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import DeviceError, LocalProtocolError, RemoteProtocolError
from smpdfu.smp import cbor
from smpdfu.smp.groups.image import ImageRc, StateRead, StateWrite
from smpdfu.smp.groups.os import Echo, EchoReply, Params
from smpdfu.smp.message import Header, MgmtRc, Op, Refusal, split_message
from smpdfu.smp.session import Answer, AnswerKind, Session


def reply(message: bytes, body: bytes, *, version: int | None = None) -> bytes:
    """The answer to ``message``, in its version or in ``version`` (as the header's field)."""
    answer = split_message(message).header.reply(body)
    return answer if version is None else bytes((answer[0] & ~0x18 | version << 3,)) + answer[1:]


ECHO = EchoReply("x").to_body()


def outcome(session: Session, message: bytes) -> object:
    """What an open request gets from ``message``, which answers it."""
    answer = session.receive(message)
    assert answer is not None
    assert answer.kind is AnswerKind.FINAL
    return answer.outcome


def test_request_and_answer() -> None:
    session = Session(first_sequence=5)
    ticket = session.open(Echo("x"))
    message = session.encode(ticket)
    assert message == Echo("x").to_bytes(5)
    assert session.receive(reply(message, ECHO)) == Answer(ticket, EchoReply("x"))
    assert ticket.sequence == 5


def test_each_request_is_answered_once() -> None:
    session = Session()
    message = session.encode(session.open(Echo("x")))
    assert session.receive(reply(message, ECHO)) is not None
    assert session.receive(reply(message, ECHO)) is None
    assert session.strays == 1


def test_answers_may_overtake_each_other() -> None:
    session = Session()
    first, second = (session.encode(session.open(Echo(text))) for text in "ab")
    answers = [session.receive(reply(message, ECHO)) for message in (second, first)]
    assert [answer and answer.ticket.sequence for answer in answers] == [1, 0]


@pytest.mark.parametrize(
    "stray",
    [
        Echo("x").to_bytes(0),  # a request
        Echo("x").to_bytes(0, op=Op.READ_RSP) + b"",  # the answer to a read
        reply(Echo("x").to_bytes(1), ECHO),  # another number
        reply(Params().to_bytes(0), ECHO),  # another command
        reply(StateWrite().to_bytes(0), ECHO),  # another group
        reply(Echo("x").to_bytes(0), ECHO)[:7],
        b"",
        b"\xff" * 20,
    ],
)
def test_strays_are_dropped(stray: bytes) -> None:
    session = Session()
    session.open(Echo("x"))
    assert session.receive(stray) is None
    assert session.strays == 1


@pytest.mark.parametrize("change", [lambda answer: answer[:-1], lambda answer: answer + b"x"], ids=["short", "long"])
def test_an_answer_of_another_length_than_it_says_is_asked_for_again(change: Callable[[bytes], bytes]) -> None:
    """Over UDP nothing else would tell that a device answers at all."""
    session = Session()
    message = session.encode(session.open(Echo("x")))
    answer = session.receive(change(reply(message, ECHO)))
    assert answer is not None
    assert (answer.kind, session.strays) == (AnswerKind.UNREADABLE, 0)
    assert isinstance(answer.outcome, RemoteProtocolError)
    assert "its header says" in str(answer.outcome)
    whole = session.receive(reply(message, ECHO))
    assert whole is not None
    assert whole.outcome == EchoReply("x")


def test_late_answers_of_closed_requests_are_strays() -> None:
    session = Session()
    ticket = session.open(Echo("x"))
    message = session.encode(ticket)
    session.close(ticket)
    session.close(ticket)
    assert session.receive(reply(message, ECHO)) is None
    with pytest.raises(KeyError):
        session.encode(ticket)


@given(st.binary(max_size=60), st.integers(0, 255))
def test_garbage_is_never_an_exception(data: bytes, sequence: int) -> None:
    session = Session(first_sequence=sequence)
    session.open(Echo("x"))
    assert session.receive(data) is None
    framed = Header(Op.WRITE_RSP, 1, 0, len(data), 0, sequence, 0).to_bytes() + data
    answer = session.receive(framed)
    assert answer is not None
    assert (answer.kind is AnswerKind.UNREADABLE) == isinstance(answer.outcome, RemoteProtocolError)


def test_an_unreadable_answer_keeps_the_request_open() -> None:
    session = Session()
    message = session.encode(session.open(Echo("x")))
    answer = session.receive(reply(message, b"\x80"))
    assert answer is not None
    assert answer.kind is AnswerKind.UNREADABLE
    assert outcome(session, reply(message, ECHO)) == EchoReply("x")


# --- numbers --------------------------------------------------------------------------------------------------------


def test_numbers_wrap_and_step_over_open_requests() -> None:
    session = Session(first_sequence=254)
    held = session.open(Echo("held"))
    numbers = []
    for _ in range(300):
        ticket = session.open(Echo("x"))
        session.close(ticket)
        numbers.append(ticket.sequence)
    assert numbers[:3] == [255, 0, 1]
    assert held.sequence not in numbers


def test_more_requests_than_numbers() -> None:
    session = Session()
    for _ in range(256):
        session.open(Echo())
    with pytest.raises(LocalProtocolError):
        session.open(Echo())


@pytest.mark.parametrize("settings", [{"version": 0}, {"version": 3}, {"first_sequence": 256}], ids=str)
def test_impossible_sessions(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no SMP session"):
        Session(**settings)


# --- refusals -------------------------------------------------------------------------------------------------------


def refused(body: bytes) -> DeviceError:
    session = Session()
    answer = session.receive(reply(session.encode(session.open(StateRead())), body))
    assert answer is not None
    assert isinstance(answer.outcome, DeviceError)
    assert answer.kind is AnswerKind.FINAL
    return answer.outcome


def test_refusals_say_who_what_and_why() -> None:
    error = refused(Refusal(ImageRc.NO_IMAGE, group=1).to_body())
    assert (error.group, error.rc, error.name, error.command) == (1, 3, "NO_IMAGE", "img state read")
    assert error.is_code(ImageRc.NO_IMAGE, 1)
    error = refused(Refusal(MgmtRc.EBUSY, reason="later").to_body())
    assert str(error) == "the device refused img state read: EBUSY (SMP, rc 10): later"
    assert refused(Refusal(77, group=99).to_body()).name is None


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_server_of_version_1_that_answers_anything() -> None:
    session = Session()
    message = session.encode(session.open(Echo("x")))
    assert outcome(session, reply(message, ECHO, version=0)) == EchoReply("x")
    assert session.version == 2


def test_a_server_that_refuses_version_2() -> None:
    session = Session()
    ticket = session.open(Echo("x"))
    too_new = Refusal(MgmtRc.UNSUPPORTED_TOO_NEW).to_body()
    answer = session.receive(reply(session.encode(ticket), too_new, version=0))
    assert answer is not None
    assert answer.kind is AnswerKind.OTHER_VERSION
    assert session.encode(ticket) == Echo("x").to_bytes(ticket.sequence, version=1)
    answer = session.receive(reply(session.encode(ticket), too_new))
    assert answer is not None
    assert answer.kind is AnswerKind.FINAL  # it refuses version 1, too: that is final


def test_a_server_that_is_silent_to_version_2() -> None:
    session = Session()
    ticket = session.open(Echo("x"))
    session.fall_back()
    message = session.encode(ticket)
    assert message == Echo("x").to_bytes(ticket.sequence, version=1)
    assert session.receive(reply(message, ECHO)) is not None
    assert session.version == 1
    session.fall_back()
    assert session.version == 1  # proven


def test_silence_tries_both_versions_until_one_is_proven() -> None:
    session = Session()
    ticket = session.open(Echo("x"))
    late = session.encode(ticket)
    session.fall_back()
    assert session.receive(reply(late, ECHO)) is not None  # the answer to version 2 was only late
    assert session.version == 2
    session.fall_back()
    assert session.version == 2


def test_a_late_answer_to_version_1_proves_version_1() -> None:
    session = Session()
    ticket = session.open(Echo("x"))
    session.fall_back()
    late = session.encode(ticket)
    session.fall_back()
    assert session.version == 2
    assert session.receive(reply(late, ECHO)) is not None
    assert session.version == 1


def test_a_refused_version_is_not_tried_again() -> None:
    session = Session()
    ticket = session.open(Echo("x"))
    session.receive(reply(session.encode(ticket), Refusal(MgmtRc.UNSUPPORTED_TOO_NEW).to_body()))
    session.fall_back()
    assert session.version == 1


def test_cbor_is_what_the_answer_is_read_from() -> None:
    session = Session()
    message = session.encode(session.open(Echo("x")))
    assert outcome(session, reply(message, cbor.dumps({"r": "x", "more": [{}]}))) == EchoReply("x")


@pytest.mark.parametrize("version", [2, 3])
def test_an_answer_in_a_version_that_does_not_exist_is_a_stray(version: int) -> None:
    session = Session()
    message = session.encode(session.open(Echo("x")))
    assert session.receive(reply(message, ECHO, version=version)) is None
    assert (session.strays, outcome(session, reply(message, ECHO))) == (1, EchoReply("x"))


def test_only_the_first_answer_settles_a_doubt() -> None:
    """Both versions were tried, and an answer has told which is understood: a later one in another changes nothing."""
    session = Session()
    session.fall_back()
    for version in (1, 0, 0):
        message = session.encode(session.open(Echo("x")))
        assert session.receive(reply(message, ECHO, version=version)) is not None
        assert session.version == 2
