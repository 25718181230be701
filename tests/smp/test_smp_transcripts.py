"""Recordings of Zephyr's and MCUboot's SMP servers: what we say is what was said, what they say we read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smpdfu.errors import DeviceError, RemoteProtocolError
from smpdfu.smp.body import decode_map
from smpdfu.smp.framing import ConsoleFraming, Framing, RawFraming
from smpdfu.smp.groups import find_request
from smpdfu.smp.message import Message, Request, split_message
from smpdfu.smp.session import Session, read_outcome

KEPT = Path(__file__).parents[1] / "vectors" / "recordings"
FULL = Path(__file__).parents[3] / "shared" / "transcripts"
FILES = [path for folder in (KEPT, FULL) for path in sorted(folder.glob("*.jsonl"))]

# Requests that were made wrong, or unusual, on purpose: ours can be read from them, but we write them otherwise.
NOT_OURS = {
    "os echo, SMP version 2": "a version field that is not in use",
    "os echo, SMP version 3": "a version field that is not in use",
    "os echo no field": "we always send the text",
    "os echo flags 0x5a": "we send no flags",
    "img upload no len": "sha without len",
    "CBOR: indefinite map": "we write definite lengths",
    "CBOR: integer key": "an unknown key",
    "CBOR: duplicate key": "a key that comes twice",
    "CBOR: extra unknown keys": "unknown keys",
    "CBOR: trailing bytes": "we send none",
}
# Steps whose wire bytes were damaged, or cut into lines in another way, on purpose.
OTHER_LINES = ("console: ", "raw: ")


@dataclass(frozen=True)
class Recorded:
    """A request, what went over the wire for it (None: not recorded) and what came back."""

    step: str
    request: bytes
    wire: bytes | None
    responses: tuple[bytes, ...]

    def ours(self) -> Request[Any] | None:
        """The request of our registry that says the same; None if none does."""
        try:
            header, body = split_message(self.request)
            kind = find_request(header.op, header.group, header.command)
            return kind.from_map(decode_map(body)) if kind else None
        except RemoteProtocolError:
            return None

    def answers(self) -> Iterator[Message]:
        """The responses to this very request."""
        sequence = split_message(self.request).header.sequence
        for response in map(split_message, self.responses):
            if response.header.sequence == sequence:
                yield response


def recorded(path: Path) -> Iterator[Recorded]:
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        if "request_hex" in entry:
            response = bytes.fromhex(entry["response_hex"] or "")
            yield Recorded(entry["name"], bytes.fromhex(entry["request_hex"]), None, (response,) if response else ())
        elif "hex" in (entry.get("request") or {}):
            responses = tuple(bytes.fromhex(response["hex"]) for response in entry["responses"])
            request, wire = bytes.fromhex(entry["request"]["hex"]), bytes.fromhex(entry["wire"])
            yield Recorded(entry["step"], request, wire, responses)


@pytest.fixture(params=FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def exchanges(request: pytest.FixtureRequest) -> list[Recorded]:
    """Everything in one file."""
    return list(recorded(request.param))


def test_our_requests_are_what_was_recorded(exchanges: list[Recorded]) -> None:
    compared = 0
    for one in exchanges:
        ours = one.ours()
        if ours is None or one.step in NOT_OURS:
            continue
        header = split_message(one.request).header
        assert ours.to_bytes(header.sequence, header.version + 1, header.op) == one.request, one.step
        compared += 1
    assert compared >= 15


def test_every_response_is_read(exchanges: list[Recorded]) -> None:
    read = 0
    for one in exchanges:
        for response in map(split_message, one.responses):
            assert decode_map(response.body) is not None, one.step
            read += 1
        ours = one.ours()
        if ours is not None:
            for _, body in one.answers():
                read_outcome(ours, body)  # raises if the response is none of this request
    assert read >= 15


def test_a_session_takes_every_answer(exchanges: list[Recorded]) -> None:
    taken = 0
    for one in exchanges:
        ours = one.ours()
        header = split_message(one.request).header if ours else None
        if ours is None or header is None or header.op != ours.op:
            continue
        for _ in one.answers():
            session = Session(first_sequence=header.sequence)
            session.open(ours)
            answers = [answer for answer in map(session.receive, one.responses) if answer is not None]
            assert answers, one.step
            taken += 1
    assert taken >= 15


def test_wire_bytes_are_what_was_recorded(exchanges: list[Recorded], request: pytest.FixtureRequest) -> None:
    raw = "serial_raw" in request.node.name
    framing: Framing = RawFraming() if raw else ConsoleFraming()
    sent = [one for one in exchanges if one.wire is not None and not one.step.startswith(OTHER_LINES)]
    for one in sent:
        assert framing.encode(one.request) == one.wire, one.step
        if one.ours() is not None and one.step not in NOT_OURS:
            assert type(framing)().feed(one.wire) == [one.request], one.step
    assert len(sent) >= 60 or "upload-edges" in request.node.name


def test_errors_have_the_names_of_the_specification() -> None:
    names = set()
    for path in FILES:
        for one in recorded(path):
            ours = one.ours()
            for _, body in one.answers() if ours else ():
                outcome = read_outcome(ours, body) if ours else None
                if isinstance(outcome, DeviceError):
                    assert outcome.name is not None, f"{one.step}: {outcome}"
                    names.add(outcome.name)
    assert names >= {"ENOTSUP", "INVALID_FORMAT", "INVALID_HASH", "HASH_NOT_FOUND", "INVALID_IMAGE_HEADER_MAGIC"}
    assert names >= {"INVALID_STAT_NAME", "ROOT_KEY_NOT_FOUND", "KEY_NOT_FOUND", "SAVE_NOT_SUPPORTED", "FILE_NOT_FOUND"}
    assert names >= {"MOUNT_POINT_NOT_FOUND", "FILE_OFFSET_NOT_VALID", "EMPTY_COMMAND", "INDEX_TOO_LARGE", "EMSGSIZE"}
