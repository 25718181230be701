"""What an agent says in DDI: bytes as hawkBit takes them, and never a word that means something else there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.agent.ddi import limits
from smpdfu.agent.ddi.config_data import AssignedVersion, AutoConfirm, ConfigData, Mode
from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.ddi.feedback import Confirmation, ConfirmationFeedback, Execution, Feedback, Finished

# hawkBit's own pattern for names and values of attributes, in Python (JpaControllerManagement.PATTERN, 1.1.0).
HAWKBIT_ATTRIBUTE = re.compile(r"[a-zA-Z0-9_\-!@#$%^&*()+=\[\]{}|;:'\",.<>/\\?\s]*")

GOLDEN = (
    (Feedback(Execution.DOWNLOAD), b'{"status":{"execution":"download","result":{"finished":"none"}}}'),
    (
        Feedback(Execution.PROCEEDING, details=("upload app",), progress=(2, 5), time_ms=1_796_000_000_000),
        b'{"timestamp":1796000000000,"status":{"execution":"proceeding","result":{"finished":"none",'
        b'"progress":{"cnt":2,"of":5}},"details":["upload app"]}}',
    ),
    (
        Feedback(Execution.CLOSED, Finished.FAILURE, ("hardware: wrong board", "caf\u00e9"), code=6),
        '{"status":{"execution":"closed","result":{"finished":"failure"},"code":6,'
        '"details":["hardware: wrong board","caf\u00e9"]}}'.encode(),
    ),
)


@pytest.mark.parametrize(("feedback", "data"), GOLDEN)
def test_feedback_has_these_bytes(feedback: Feedback, data: bytes) -> None:
    assert feedback.to_bytes() == data


@pytest.mark.parametrize("execution", Execution)
@pytest.mark.parametrize("finished", Finished)
def test_a_result_comes_with_closed_and_closed_with_a_result(execution: Execution, finished: Finished) -> None:
    fits = (execution is Execution.CLOSED) == (finished is not Finished.NONE)
    if not fits:
        with pytest.raises(ValueError, match="feedback"):
            Feedback(execution, finished)
        return
    body = json.loads(Feedback(execution, finished).to_bytes())
    assert body == {"status": {"execution": execution.value, "result": {"finished": finished.value}}}


def test_details_are_bounded_and_printable() -> None:
    details = ("a\x1b[31m\nb", "x" * 2000, "", *[f"line {number}" for number in range(100)])
    found = Feedback(Execution.PROCEEDING, details=details).details
    assert found[0] == "a\ufffd[31m\ufffdb"
    assert (len(found[1]), found[1][-4:]) == (limits.MAX_DETAIL, "x...")
    assert len(found) == limits.MAX_DETAILS
    assert found[-1] == "and 83 more"  # 102 sentences are not empty, 19 are there
    assert Feedback(Execution.PROCEEDING, details=found).details == found


WHOLE = st.integers(0, 2**40)
FEEDBACKS = st.builds(
    lambda pair, details, progress, code, time: Feedback(pair[0], pair[1], details, progress, code, time),
    st.sampled_from(
        [(one, Finished.NONE) for one in Execution if one is not Execution.CLOSED]
        + [(Execution.CLOSED, Finished.SUCCESS), (Execution.CLOSED, Finished.FAILURE)]
    ),
    st.lists(st.text(max_size=600), max_size=25).map(tuple),
    st.none() | st.tuples(WHOLE, WHOLE),
    st.none() | WHOLE,
    st.none() | WHOLE,
)


@settings(max_examples=200, deadline=None)
@given(FEEDBACKS)
def test_feedback_survives_an_outbox(feedback: Feedback) -> None:
    data = feedback.to_bytes()
    assert Feedback.from_json(json.loads(data)) == feedback
    assert len(data) < limits.MAX_DETAILS * limits.MAX_DETAIL * 6 + 300


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"status": None},
        {"status": {"execution": "closed", "result": {"finished": "none"}}},
        {"status": {"execution": "closed", "result": {}}},
        {"status": {"execution": "done", "result": {"finished": "none"}}},
        {"status": {"execution": "download", "result": {"finished": "none"}, "details": "word"}},
        {"status": {"execution": "download", "result": {"finished": "none"}, "details": [7]}},
        {"status": {"execution": "download", "result": {"finished": "none"}, "code": "7"}},
        {"status": {"execution": "download", "result": {"finished": "none", "progress": 7}}},
        {"status": {"execution": "download", "result": {"finished": "none"}}, "more": 1},
        {"timestamp": "now", "status": {"execution": "download", "result": {"finished": "none"}}},
    ],
)
def test_what_is_no_feedback_of_ours_is_a_value_error(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"feedback|is not a valid"):
        Feedback.from_json(value)


def test_a_confirmation_has_these_bytes() -> None:
    yes = ConfirmationFeedback(Confirmation.CONFIRMED)
    no = ConfirmationFeedback(Confirmation.DENIED, ("not in this\x07 building",), code=7)
    assert yes.to_bytes() == b'{"confirmation":"confirmed"}'
    assert no.to_bytes() == '{"confirmation":"denied","code":7,"details":["not in this\ufffd building"]}'.encode()


def test_attributes_have_these_bytes() -> None:
    data = ConfigData({"version": "1.2.3+4", "gateway": "roof"}, Mode.REPLACE)
    assert data.to_bytes() == b'{"mode":"replace","data":{"gateway":"roof","version":"1.2.3+4"}}'
    assert ConfigData({"a": "b"}).to_bytes() == b'{"mode":"merge","data":{"a":"b"}}'
    assert ConfigData({"a": ""}, Mode.REMOVE).to_bytes() == b'{"mode":"remove","data":{"a":""}}'


def test_attributes_that_hawkbit_refuses_are_changed() -> None:
    assert dict(ConfigData({"h\u00f6he": "~12 m\n" + "x" * 200}).data) == {"h?he": "?12 m?" + "x" * 122}


@pytest.mark.parametrize("data", [{}, {"": "x"}, {"\u00e4": "1", "\u00f6": "2"}, {str(n): "x" for n in range(101)}])
def test_attributes_that_cannot_be_sent_are_a_value_error(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="attribute"):
        ConfigData(data)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=300), st.text(max_size=300), min_size=1, max_size=5))
def test_attributes_are_always_what_hawkbit_takes(data: dict[str, str]) -> None:
    try:
        sent = json.loads(ConfigData(data).to_bytes())["data"]
    except ValueError:
        return
    for text in (*sent, *sent.values()):
        assert len(text) <= 128
        assert HAWKBIT_ATTRIBUTE.fullmatch(text)


def test_the_small_bodies() -> None:
    assert AssignedVersion("roof", "1.2").to_bytes() == b'{"name":"roof","version":"1.2"}'
    assert AutoConfirm().to_bytes() == b"{}"
    assert AutoConfirm("ann", "always").to_bytes() == b'{"initiator":"ann","remark":"always"}'


@pytest.mark.parametrize(("number", "words"), [(0, "0 devices"), (1, "1 device"), (2, "2 devices")])
def test_a_number_has_its_noun(number: int, words: str) -> None:
    assert counted(number, "device") == words
