"""Answers of the management API: a good one is read whole, and a bad one has one sentence and no other error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.agent.ddi.fields import Fields
from smpdfu.agent.management.answers import (
    Artifact,
    Counts,
    DistributionSet,
    Group,
    Module,
    Page,
    Report,
    Rollout,
    TargetAction,
    UserInfo,
    as_page,
    metadata_of,
)
from smpdfu.errors import ServerProtocolError

MODULE = {"id": 6, "name": "roof", "version": "1.2.3+4", "type": "application", "locked": True, "deleted": False}
ARTIFACT = {"id": 1, "providedFilename": "dfu_application.zip", "size": 11, "hashes": {"sha256": "AB" * 32}}
SET = MODULE | {"id": 9, "type": "app", "modules": [MODULE], "valid": False, "complete": True}
COUNTS = {"running": 1, "notstarted": 2, "scheduled": 3, "cancelled": 4, "finished": 5, "error": 6}
ROLLOUT = {
    "id": 7,
    "name": "night",
    "status": "RUNNING",
    "distributionSetId": 9,
    "targetFilterQuery": "name == roof-*",
    "type": "soft",
    "totalGroups": 3,
    "totalTargets": 21,
    "totalTargetsPerStatus": COUNTS,
    "deleted": False,
}
GROUP = {
    "id": 78,
    "name": "group-1",
    "status": "running",
    "totalTargets": 21,
    "totalTargetsPerStatus": COUNTS,
    "successCondition": {"condition": "THRESHOLD", "expression": "100"},
    "errorCondition": {"condition": "THRESHOLD", "expression": "10"},
}
ACTION = {"id": 5, "_links": {"self": {"href": "https://h/rest/v1/targets/roof%2F1%20a/actions/5"}}}
REPORT = {"id": 1, "type": "ERROR", "messages": ["it runs its previous firmware", "code 7"]}
USER = {"tenant": "DEFAULT", "username": "admin"}
PAGE = {"content": [MODULE], "total": 1, "size": 1}

READERS: Mapping[str, tuple[Callable[[Fields], Any], Mapping[str, Any]]] = {
    "module": (Module.from_fields, MODULE),
    "artifact": (Artifact.from_fields, ARTIFACT),
    "set": (DistributionSet.from_fields, SET),
    "rollout": (Rollout.from_fields, ROLLOUT),
    "group": (Group.from_fields, GROUP),
    "action": (TargetAction.from_fields, ACTION),
    "report": (Report.from_fields, REPORT),
    "user": (UserInfo.from_fields, USER),
    "page": (Page.from_fields, PAGE),
}
COUNTED = Counts(notstarted=2, scheduled=3, running=1, finished=5, error=6, cancelled=4)


def test_what_hawkbit_writes_is_read() -> None:
    assert Module.from_fields(Fields(MODULE)) == Module(6, "roof", "1.2.3+4", "application", locked=True)
    assert Artifact.from_fields(Fields(ARTIFACT)) == Artifact("dfu_application.zip", 11, "ab" * 32)
    assert DistributionSet.from_fields(Fields(SET)) == DistributionSet(
        9, "roof", "1.2.3+4", "app", frozenset({6}), valid=False
    )
    assert Rollout.from_fields(Fields(ROLLOUT)) == Rollout(
        7, "night", "running", 9, "name == roof-*", "soft", 3, 21, COUNTED
    )
    assert Group.from_fields(Fields(GROUP)) == Group(78, "group-1", "running", 21, COUNTED, "100", "10")
    assert TargetAction.from_fields(Fields(ACTION)) == TargetAction(5, "roof/1 a")
    assert Report.from_fields(Fields(REPORT)) == Report("error", ("it runs its previous firmware", "code 7"))
    assert UserInfo.from_fields(Fields(USER)) == UserInfo("DEFAULT")
    assert Page.from_fields(Fields(PAGE)).total == 1


def test_a_rollout_that_the_server_still_makes_has_no_counts() -> None:
    made = {key: ROLLOUT[key] for key in ("id", "name", "status", "distributionSetId", "targetFilterQuery")}
    found = Rollout.from_fields(Fields(made))
    assert (found.groups, found.total, found.counts, found.type) == (None, 0, Counts(), "forced")


def test_an_action_without_a_link_has_no_target() -> None:
    assert TargetAction.from_fields(Fields({"id": 5})) == TargetAction(5, "")
    assert TargetAction.from_fields(Fields({"id": 5, "_links": {"self": {"href": "https://h/x"}}})).target == ""


def test_a_bare_list_is_a_page_of_all_its_entries() -> None:
    page = as_page(b'[{"id": 1}, {"id": 2}]')
    assert [one.values["id"] for one in page.parts("content", 5)] == [1, 2]
    for bad in (b"", b"{", b"<html>", b"[1, 2] x", b"\xff"):
        with pytest.raises(ServerProtocolError):
            as_page(bad).parts("content", 5)
    with pytest.raises(ServerProtocolError, match="is no object"):
        as_page(b"[1]").parts("content", 5)


def test_metadata_is_read_and_bounded() -> None:
    found = {"content": [{"key": "board", "value": "a"}, {"key": "empty"}], "total": 2}
    assert metadata_of(Fields(found)) == {"board": "a", "empty": ""}
    many = [{"key": str(number), "value": ""} for number in range(501)]
    with pytest.raises(ServerProtocolError, match="may have 500"):
        metadata_of(Fields({"content": many, "total": 501}))


@pytest.mark.parametrize("hash_text", ["zz" * 32, "ab", "ab" * 33, 5])
def test_a_hash_that_is_none_is_refused(hash_text: object) -> None:
    with pytest.raises(ServerProtocolError, match="sha256"):
        Artifact.from_fields(Fields(ARTIFACT | {"hashes": {"sha256": hash_text}}))


REQUIRED = [
    *(("module", key) for key in ("id", "name", "version", "type")),
    *(("artifact", key) for key in ("providedFilename", "size")),
    *(("set", key) for key in ("id", "name", "version", "type")),
    *(("rollout", key) for key in ("id", "name", "status", "distributionSetId", "targetFilterQuery")),
    *(("group", key) for key in ("id", "name", "status")),
    ("action", "id"),
    ("report", "type"),
    ("user", "tenant"),
    *(("page", key) for key in ("content", "total")),
]


@pytest.mark.parametrize(("name", "key"), REQUIRED)
def test_what_is_needed_and_missing_is_named(name: str, key: str) -> None:
    read, good = READERS[name]
    for bad in ({one: value for one, value in good.items() if one != key}, {**good, key: None}):
        with pytest.raises(ServerProtocolError, match=f"{key}"):
            read(Fields(bad))


def refusal(read: Callable[[Fields], Any], data: bytes) -> ServerProtocolError | None:
    """The error of an answer; None if it is read. Any other error comes out."""
    try:
        read(Fields.from_bytes(data))
    except ServerProtocolError as error:
        return error
    return None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data(), name=st.sampled_from(sorted(READERS)))
def test_a_field_of_any_other_kind_has_one_named_error(data: st.DataObject, name: str) -> None:
    read, good = READERS[name]
    key = data.draw(st.sampled_from(sorted(good)))
    changed: dict[str, Any] = {**good, key: data.draw(anything)}
    said = "" if (error := refusal(read, json.dumps(changed).encode())) is None else str(error)
    assert len(said) < 400
    assert said.isprintable()


@given(data=st.binary(max_size=200), name=st.sampled_from(sorted(READERS)))
def test_bytes_that_are_no_answer_have_one_named_error(data: bytes, name: str) -> None:
    with pytest.raises(ServerProtocolError):
        READERS[name][0](Fields.from_bytes(data))
