"""What a server says in DDI: read as hawkBit and goosebit write it, refused in one sentence where it is wrong."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.agent.ddi import limits
from smpdfu.agent.ddi.resources import (
    Artifact,
    Base,
    Cancel,
    Chunk,
    ConfirmationBase,
    Deployment,
    Handling,
    History,
    MaintenanceWindow,
    Metadata,
    Refusal,
    read_confirmation,
)
from smpdfu.errors import ServerProtocolError

HOST = "https://hawkbit.example.com/DEFAULT/controller/v1/dev"
SHA256 = "b3a04740a19e36057ccf258701922f3cd2f1a880536be53a3ca8d50f6b615975"
# The shape of hawkBit 1.1.0 (DdiControllerBase, DdiDeploymentBase); values are ours.
BASE = {
    "config": {"polling": {"sleep": "00:05:00"}},
    "_links": {
        "deploymentBase": {"href": f"{HOST}/deploymentBase/8?c=-2122565939"},
        "configData": {"href": f"{HOST}/configData"},
        "installedBase": {"href": f"{HOST}/installedBase/7"},
    },
}
ARTIFACT: dict[str, Any] = {
    "filename": "dfu_application.zip",
    "hashes": {"sha1": "98" * 20, "md5": "d0" * 16, "sha256": SHA256},
    "size": 300_123,
    "_links": {
        "download": {"href": f"{HOST}/softwaremodules/23/artifacts/dfu_application.zip"},
        "download-http": {"href": "http://hawkbit.example.com/x"},
        "md5sum": {"href": f"{HOST}/softwaremodules/23/artifacts/dfu_application.zip.MD5SUM"},
    },
}
CHUNK: dict[str, Any] = {
    "part": "os",
    "version": "1.2.3",
    "name": "roof sensor",
    "artifacts": [ARTIFACT],
    "metadata": [{"key": "hardware", "value": "nrf5340dk"}],
}
DEPLOYMENT: dict[str, Any] = {
    "id": "8",
    "deployment": {
        "download": "forced",
        "update": "attempt",
        "maintenanceWindow": "unavailable",
        "chunks": [CHUNK],
    },
    "actionHistory": {"status": "RUNNING", "messages": ["Download done", "Assignment initiated by user 'admin'"]},
}
ACTION = Deployment(
    id="8",
    download=Handling.FORCED,
    update=Handling.ATTEMPT,
    maintenance_window=MaintenanceWindow.UNAVAILABLE,
    chunks=(
        Chunk(
            part="os",
            version="1.2.3",
            name="roof sensor",
            artifacts=(
                Artifact(
                    "dfu_application.zip",
                    300_123,
                    SHA256,
                    (f"{HOST}/softwaremodules/23/artifacts/dfu_application.zip", "http://hawkbit.example.com/x"),
                ),
            ),
            metadata=(Metadata("hardware", "nrf5340dk"),),
        ),
    ),
    history=History("RUNNING", ("Download done", "Assignment initiated by user 'admin'")),
)
CONFIRMATION_BASE = {
    "autoConfirm": {"active": True, "initiator": "ann", "activatedAt": 1_796_000_000_000},
    "_links": {
        "deactivateAutoConfirm": {"href": f"{HOST}/confirmationBase/deactivateAutoConfirm"},
        "confirmationBase": {"href": f"{HOST}/confirmationBase/10?c=-1"},
    },
}


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def changed(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    """A copy of ``value`` with ``new`` at ``path``; without that place if ``new`` is ``...``."""
    copy = json.loads(json.dumps(value))
    part = copy
    for step in path[:-1]:
        part = part[step]
    if new is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = new
    return copy


def test_a_base_is_read() -> None:
    assert Base.from_bytes(body(BASE)) == Base(
        sleep="00:05:00",
        config_data=f"{HOST}/configData",
        deployment=f"{HOST}/deploymentBase/8?c=-2122565939",
        installed=f"{HOST}/installedBase/7",
    )


@pytest.mark.parametrize("value", [{}, {"config": None}, {"config": {}}, {"config": {"polling": {}}}, {"_links": {}}])
def test_a_base_may_have_nothing(value: object) -> None:
    assert Base.from_bytes(body(value)) == Base()


def test_a_deployment_is_read() -> None:
    assert Deployment.from_bytes(body(DEPLOYMENT)) == ACTION
    assert ACTION.artifacts == ACTION.chunks[0].artifacts


def test_a_confirmation_has_the_same_shape() -> None:
    value = {"id": "8", "confirmation": DEPLOYMENT["deployment"], "actionHistory": DEPLOYMENT["actionHistory"]}
    assert read_confirmation(body(value)) == ACTION


def test_a_confirmation_base_is_read() -> None:
    assert read_confirmation(body(CONFIRMATION_BASE)) == ConfirmationBase(
        auto_confirm=True,
        initiator="ann",
        action=f"{HOST}/confirmationBase/10?c=-1",
        deactivate=f"{HOST}/confirmationBase/deactivateAutoConfirm",
    )


def test_a_cancellation_is_read() -> None:
    assert Cancel.from_bytes(b'{"id":"11","cancelAction":{"stopId":"8"}}') == Cancel("11", "8")


def test_an_id_may_be_a_number() -> None:
    assert Cancel.from_bytes(b'{"id":11,"cancelAction":{"stopId":8}}') == Cancel("11", "8")


def test_unknown_fields_are_passed_over() -> None:
    value = changed(DEPLOYMENT, ("deployment", "priority"), {"of": [1]})
    value = changed(value, ("deployment", "chunks", 0, "artifacts", 0, "_links", "torrent"), "magnet:")
    assert Deployment.from_bytes(body(value)) == ACTION


def test_null_is_no_field() -> None:
    value = changed(DEPLOYMENT, ("deployment", "maintenanceWindow"), None)
    value = changed(value, ("deployment", "chunks", 0, "metadata"), None)
    found = Deployment.from_bytes(body(value))
    assert (found.maintenance_window, found.chunks[0].metadata) == (None, ())


def test_an_artifact_without_a_hash_says_so_by_none() -> None:
    value = changed(DEPLOYMENT, ("deployment", "chunks", 0, "artifacts", 0, "hashes", "sha256"), ...)
    found = Deployment.from_bytes(body(value)).artifacts[0]
    assert (found.sha256, found.sha1) == (None, "98" * 20)
    value = changed(DEPLOYMENT, ("deployment", "chunks", 0, "artifacts", 0, "hashes"), {"sha1": "AB" * 20})
    assert Deployment.from_bytes(body(value)).artifacts[0].sha1 == "ab" * 20
    value = changed(DEPLOYMENT, ("deployment", "chunks", 0, "artifacts", 0, "hashes"), {"md5": "d0" * 16})
    assert Deployment.from_bytes(body(value)).artifacts[0].sha1 is None


def test_a_hash_in_capitals_is_the_same_hash() -> None:
    value = changed(DEPLOYMENT, ("deployment", "chunks", 0, "artifacts", 0, "hashes", "sha256"), SHA256.upper())
    assert Deployment.from_bytes(body(value)) == ACTION


FIRST = ("deployment", "chunks", 0)
FILE = (*FIRST, "artifacts", 0)
WRONG: tuple[tuple[tuple[str | int, ...], object, str], ...] = (
    (("id",), ..., "id is missing"),
    (("id",), "", "id is empty"),
    (("id",), "x" * 257, "id has 257 characters and may have 256"),
    (("id",), True, "id is no text"),
    (("id",), 1 << 63, "id is no text"),
    (("deployment",), ..., "deployment is missing"),
    (("deployment",), [], "deployment is no object"),
    (("deployment", "update"), ..., "deployment.update is missing"),
    (("deployment", "update"), "now", "deployment.update is 'now' and not one of skip, attempt, forced"),
    (("deployment", "update"), "FORCED", "deployment.update is 'FORCED' and not one of"),
    (("deployment", "download"), "a\x1b[2J", "deployment.download is 'a\ufffd[2J' and not one of"),
    (("deployment", "maintenanceWindow"), 1, "deployment.maintenanceWindow is no text"),
    (("deployment", "chunks"), {}, "deployment.chunks is no list"),
    (("deployment", "chunks"), [1], "deployment.chunks[0] is no object"),
    (("deployment", "chunks"), [CHUNK] * 129, "deployment.chunks has 129 entries and may have 128"),
    ((*FIRST, "name"), 7, "deployment.chunks[0].name is no text"),
    ((*FIRST, "name"), "\ud800", "deployment.chunks[0].name has half a character"),
    ((*FIRST, "artifacts"), [ARTIFACT] * 513, "deployment.chunks[0].artifacts has 513 entries and may have 512"),
    ((*FIRST, "encrypted"), "yes", "deployment.chunks[0].encrypted is neither true nor false"),
    ((*FIRST, "metadata"), [{"value": "x"}], "deployment.chunks[0].metadata[0].key is missing"),
    ((*FILE, "filename"), ..., "deployment.chunks[0].artifacts[0].filename is missing"),
    ((*FILE, "size"), -1, "deployment.chunks[0].artifacts[0].size is not between 0 and"),
    ((*FILE, "size"), 1.5, "deployment.chunks[0].artifacts[0].size is no whole number"),
    ((*FILE, "size"), True, "deployment.chunks[0].artifacts[0].size is no whole number"),
    ((*FILE, "size"), 1 << 40, "deployment.chunks[0].artifacts[0].size is not between 0 and"),
    ((*FILE, "hashes", "sha256"), "12", "hashes.sha256 is not 64 hexadecimal digits"),
    ((*FILE, "hashes", "sha256"), "\u0661" * 64, "hashes.sha256 is not 64 hexadecimal digits"),
    ((*FILE, "hashes"), {"sha1": "98" * 21}, "hashes.sha1 is not 40 hexadecimal digits"),
    ((*FILE, "_links", "download"), "x", "artifacts[0]._links.download is no object"),
    ((*FILE, "_links", "download"), {}, "artifacts[0]._links.download.href is missing"),
    (("actionHistory", "messages"), ["x"] * 1001, "actionHistory.messages has 1001 entries"),
    (("actionHistory", "messages"), [None], "actionHistory.messages[0] is no text"),
)


@pytest.mark.parametrize(("path", "new", "said"), WRONG)
def test_what_is_wrong_is_named_in_one_sentence(path: tuple[str | int, ...], new: object, said: str) -> None:
    with pytest.raises(ServerProtocolError) as raised:
        Deployment.from_bytes(body(changed(DEPLOYMENT, path, new)))
    assert str(raised.value).startswith("the server's answer is not usable: ")
    assert said in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"\xff", "it is not UTF-8"),
        (b'{"id": "1", "id": "2"}', "twice"),
        (b'{"id": NaN}', "NaN"),
        (b'{"a":' + b"[" * 17 + b"]" * 17 + b"}", "nested too deeply"),
        (b'{"a":"' + b"x" * limits.MAX_BODY_BYTES + b'"}', "larger than 1024 KiB"),
        (b'{"id": ' + b"9" * 5000 + b"}", "more than 4300 digits"),
    ],
)
def test_what_is_no_json_object_is_refused(data: bytes, said: str) -> None:
    for read in (Base.from_bytes, Deployment.from_bytes, Cancel.from_bytes, read_confirmation):
        with pytest.raises(ServerProtocolError, match=said):
            read(data)


def test_artifacts_and_metadata_are_bounded_over_all_chunks() -> None:
    many = [{**CHUNK, "artifacts": [ARTIFACT] * 5}] * 128
    with pytest.raises(ServerProtocolError, match="more than 512 artifacts together"):
        Deployment.from_bytes(body(changed(DEPLOYMENT, ("deployment", "chunks"), many)))
    notes = [{"part": "os", "version": "1", "name": "n", "metadata": [{"key": "k", "value": "v"}] * 20}] * 128
    with pytest.raises(ServerProtocolError, match="more than 2048 entries of metadata together"):
        Deployment.from_bytes(body(changed(DEPLOYMENT, ("deployment", "chunks"), notes)))


def test_a_million_chunks_need_little_memory() -> None:
    data = b'{"id":"1","deployment":{"download":"skip","update":"skip","chunks":[' + b"{}," * 10**6 + b"{}]}}"
    tracemalloc.start()
    with pytest.raises(ServerProtocolError, match="larger than"):
        Deployment.from_bytes(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_refusal_says_what_it_can() -> None:
    data = b'{"errorCode":"hawkbit.server.error.quota.tooManyEntries","message":"too many","exceptionClass":"x"}'
    assert Refusal.from_bytes(data) == Refusal("hawkbit.server.error.quota.tooManyEntries", "too many")
    for other in (b"", b"<html>", b"[]", b'{"errorCode": 7}'):
        assert Refusal.from_bytes(other) == Refusal()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def paths(value: object, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [here] if here else []
    if isinstance(value, dict):
        return found + [one for key, inner in value.items() for one in paths(inner, (*here, key))]
    if isinstance(value, list):
        return found + [one for at, inner in enumerate(value) for one in paths(inner, (*here, at))]
    return found


READERS: tuple[tuple[object, Callable[[bytes], object]], ...] = (
    (BASE, Base.from_bytes),
    (DEPLOYMENT, Deployment.from_bytes),
    (CONFIRMATION_BASE, read_confirmation),
    ({"id": "11", "cancelAction": {"stopId": "8"}}, Cancel.from_bytes),
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_field_of_any_other_type_gives_one_error_or_a_value(data: st.DataObject) -> None:
    good, read = data.draw(st.sampled_from(READERS))
    path = data.draw(st.sampled_from(paths(good)))
    said = error_of(read, body(changed(good, path, data.draw(JSON))))
    assert len(said) < 600
    assert said.isprintable()


def error_of(read: Callable[[bytes], object], data: bytes) -> str:
    """The sentence of the one error that a reader may raise; "" if it takes the document."""
    try:
        read(data)
    except ServerProtocolError as error:
        return str(error)
    return ""


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
ARTIFACTS = st.builds(
    Artifact,
    TEXT,
    st.none() | st.integers(0, limits.MAX_ARTIFACT_BYTES),
    st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    st.lists(TEXT, max_size=2, unique=True).map(tuple),
)
CHUNKS = st.builds(
    Chunk,
    TEXT,
    TEXT,
    TEXT,
    st.lists(ARTIFACTS, max_size=2).map(tuple),
    st.lists(st.builds(Metadata, TEXT, TEXT), max_size=2).map(tuple),
    st.booleans(),
)
DEPLOYMENTS = st.builds(
    Deployment,
    TEXT,
    st.sampled_from(Handling),
    st.sampled_from(Handling),
    st.lists(CHUNKS, max_size=2).map(tuple),
    st.none() | st.sampled_from(MaintenanceWindow),
    st.none() | st.builds(History, TEXT, st.lists(TEXT, max_size=3).map(tuple)),
)


def written(action: Deployment) -> dict[str, Any]:
    """The action as a server writes it."""
    chunks = [
        {
            "part": chunk.part,
            "version": chunk.version,
            "name": chunk.name,
            "encrypted": chunk.encrypted,
            "metadata": [{"key": one.key, "value": one.value} for one in chunk.metadata],
            "artifacts": [
                {
                    "filename": one.filename,
                    "size": one.size_bytes,
                    "hashes": {"sha256": one.sha256},
                    "_links": dict(
                        zip(("download", "download-http"), ({"href": link} for link in one.links), strict=False)
                    ),
                }
                for one in chunk.artifacts
            ],
        }
        for chunk in action.chunks
    ]
    history = action.history and {"status": action.history.status, "messages": list(action.history.messages)}
    deployment = {
        "download": action.download,
        "update": action.update,
        "maintenanceWindow": action.maintenance_window,
        "chunks": chunks,
    }
    return {"id": action.id, "deployment": deployment, "actionHistory": history}


@settings(max_examples=150, deadline=None)
@given(DEPLOYMENTS)
def test_every_action_is_read_as_it_was_written(action: Deployment) -> None:
    assert Deployment.from_bytes(body(written(action))) == action
