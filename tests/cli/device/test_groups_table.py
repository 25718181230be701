"""Every command of every group, in four columns; a command without an entry in any of them fails.

    request     it is written as it was recorded, and as others write it
    answer      an answer to it is read, as recorded or as others write it
    refusal     a refusal of it is read and named
    cli         ``smpdfu`` sends it to the virtual device and shows the answer

What is recorded is in ``tests/vectors/recordings``, what others write in ``tests/vectors/groups.json``, which tells who
wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.errors import DeviceError, RemoteProtocolError
from smpdfu.smp import cbor
from smpdfu.smp.groups import RCS, REQUESTS, enum, find_request, fs, image, os, settings, shell, stat, transport, zephyr
from smpdfu.smp.message import HEADER_SIZE, Empty, MgmtRc, Op, Refusal, Request, Response, decode_map, split_message
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.server import application
from smpdfu.virtual.server.groups.transport import TransportGroup
from smpdfu.virtual.server.server import Server

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

VECTORS = Path(__file__).parents[2] / "vectors"
OTHERS = json.loads((VECTORS / "groups.json").read_text("utf-8"))
Kind = type[Request[Any]]


def name(value: object) -> str:
    return getattr(value, "__name__", str(value))


over_the_registry = pytest.mark.parametrize("kind", REQUESTS, ids=name)


# --- what was recorded ----------------------------------------------------------------------------------------------


def recorded() -> Iterator[tuple[Kind, bytes, bytes]]:
    """(command, request, answer) of every exchange that one of our commands could have had."""
    for path in sorted((VECTORS / "recordings").glob("*.jsonl")):
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            request = bytes.fromhex(row["request_hex"] if "request_hex" in row else row["request"]["hex"])
            answers = [row["response_hex"]] if "response_hex" in row else [one["hex"] for one in row["responses"]]
            try:
                header = split_message(request).header
            except RemoteProtocolError:
                continue
            kind = find_request(header.op, header.group, header.command)
            for answer in map(bytes.fromhex, filter(None, answers)):
                if kind is not None and answer[6] == header.sequence:
                    yield kind, request, answer


RECORDED = tuple(recorded())


def exchanges(kind: Kind) -> Iterator[tuple[Request[Any], bytes, Response | DeviceError]]:
    """Of one command: the request in our words, as it was sent, and the outcome; good requests only."""
    for found, request, answer in RECORDED:
        if found is kind:
            try:
                ours = kind.from_map(decode_map(request[HEADER_SIZE:]))
            except RemoteProtocolError:  # bad on purpose
                continue
            yield ours, request, read_outcome(ours, answer[HEADER_SIZE:])


def others(kind: Kind) -> dict[str, Any]:
    """What others write for this command."""
    found: dict[str, Any] = OTHERS["commands"][kind.__name__]
    return found


def golden(row: dict[str, Any], column: str) -> tuple[bytes, bytes]:
    """Header (empty where nobody wrote one) and body."""
    data = bytes.fromhex(row[column])
    cut = HEADER_SIZE if row[f"{column}_by"] == "smp" else 0
    return data[:cut], data[cut:]


# --- the columns ----------------------------------------------------------------------------------------------------

# Groups whose codes the package ``smp`` does not have, or has under another group's names.
UNKNOWN_GROUPS = {shell.GROUP}
# Commands that no recorded server was sent.
NEVER_SENT = {kind for kind in REQUESTS if kind.group == transport.GROUP}
# Commands that no recorded server did: not built in, or asked for in ways that had to be refused.
NEVER_DONE = NEVER_SENT | {
    os.MemoryPools,
    os.DateTimeRead,
    os.DateTimeWrite,
    os.BootloaderInfo,
    image.StateWrite,
    settings.SettingsRead,
    settings.SettingsWrite,
    settings.SettingsDelete,
    settings.SettingsSave,
}


@over_the_registry
def test_request(kind: Kind) -> None:
    same = 0
    for ours, request, _ in exchanges(kind):
        header = split_message(request).header
        if header.version < 2 and ours.to_bytes(header.sequence, header.version + 1, header.op) == request:
            same += 1
    assert (same > 0) == (kind not in NEVER_SENT)

    row = others(kind)
    head, body = golden(row, "request")
    ours = kind.from_map(decode_map(body))
    assert cbor.loads(ours.to_body()) == cbor.loads(body)  # a map has no order
    assert not head or head == ours.to_bytes(33)[:HEADER_SIZE]
    assert any(ours.to_map().values()) or not cbor.loads(body)


@over_the_registry
def test_answer(kind: Kind) -> None:
    done = [outcome for _, _, outcome in exchanges(kind) if isinstance(outcome, kind.response)]
    assert bool(done) == (kind not in NEVER_DONE)

    head, body = golden(others(kind), "answer")
    ours = read_outcome(kind.from_map(decode_map(golden(others(kind), "request")[1])), body)
    assert isinstance(ours, kind.response)
    written = {key: value for key, value in _plain(cbor.loads(body)).items() if value is not None}
    assert _plain(ours.to_map()) == written
    assert not head or head[0] == kind.op + 1 | 1 << 3


def _plain(entries: Any) -> Any:
    return {key: value for key, value in entries.items() if value is not None}


@over_the_registry
def test_refusal(kind: Kind) -> None:
    for _, _, outcome in exchanges(kind):
        if isinstance(outcome, DeviceError):
            assert outcome.name is not None
            assert outcome.command == kind.title
    refusal = others(kind)["refusal"]
    outcome = read_outcome(
        kind.from_map(decode_map(golden(others(kind), "request")[1])), bytes.fromhex(refusal["body"])
    )
    assert isinstance(outcome, DeviceError)
    assert (outcome.group, outcome.name) == (refusal["group"], refusal["name"])


@pytest.mark.parametrize("group", RCS)
def test_codes(group: int) -> None:
    """Every code of a group has the name that others know it by; in version 2 as in version 1, which has SMP's own."""
    theirs = OTHERS["codes"].get(str(group), {})
    assert theirs.items() <= {rc.name: rc.value for rc in RCS[group]}.items()
    assert theirs or group in UNKNOWN_GROUPS
    ask = next(kind for kind in REQUESTS if kind.group == group)
    request = ask.from_map(decode_map(golden(others(ask), "request")[1]))
    for rc in list(RCS[group])[1:]:
        outcome = read_outcome(request, Refusal(rc, group).to_body())
        assert isinstance(outcome, DeviceError)
        assert outcome.name == rc.name
    for code in list(MgmtRc)[1:]:
        outcome = read_outcome(request, Refusal(code).to_body())
        assert isinstance(outcome, DeviceError)
        assert outcome.name == code.name


# --- the command line -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Use:
    """A command line that makes ``smpdfu`` send a request, with what its answer says; ``first`` go before it.

    ``without`` are requests that the device does not have, so that another is needed.
    """

    line: str
    says: dict[str, Any]
    first: tuple[str, ...] = ()
    without: tuple[Kind, ...] = ()


PUT = "fs upload {folder}/hello /lfs1/hello"
SET = "settings write app/interval 500"
USES: dict[Kind, Use] = {
    os.Echo: Use("echo hällo", {"echo": "hällo"}),
    os.TaskStat: Use("taskstat", {"tasks": [{"name": "sysworkq", "prio": -1}]}),
    os.MemoryPools: Use("mpstat", {"pools": [{"blksiz": 2048, "nblks": 4}]}),
    os.DateTimeRead: Use("datetime", {"zone": "utc", "set": None}, first=("datetime 2026-01-02T03:04:05",)),
    os.DateTimeWrite: Use("datetime 2026-01-02T03:04:05", {"set": "2026-01-02T03:04:05"}),
    os.Reset: Use("reset --no-wait", {"reset": True}),
    os.Params: Use("params", {"buf_size": 2048, "buf_count": 4}),
    os.Info: Use("info", {"platform": "nrf5340dk/nrf5340/cpuapp"}),
    os.BootloaderInfo: Use("bootloader", {"bootloader": "MCUboot", "mode": 3}),
    image.StateRead: Use("list", {"images": [{"slot": 0, "version": "1.0.0", "active": True}]}),
    image.StateWrite: Use("confirm", {"images": [{"version": "1.0.0", "confirmed": True}]}),
    image.ImageUpload: Use("upload {folder}/app-2.0.0.bin", {"version": "2.0.0", "slot": 1}),
    image.Erase: Use("erase", {"images": [{"slot": 0}]}),
    image.SlotInfo: Use("info", {"slots": [{"image": 0, "slot": 1}]}),
    stat.StatData: Use("stat show smp_svr_stats", {"groups": [{"name": "smp_svr_stats"}]}),
    stat.StatList: Use("stat list", {"groups": ["smp_svr_stats"]}),
    settings.SettingsRead: Use("settings read app/interval", {"text": "500"}, first=(SET,)),
    settings.SettingsWrite: Use(SET, {"bytes": 3}),
    settings.SettingsDelete: Use("settings delete app/interval", {"deleted": True}),
    settings.SettingsCommit: Use("settings commit", {"committed": True}),
    settings.SettingsLoad: Use("settings load", {"loaded": True}),
    settings.SettingsSave: Use("settings save", {"saved": True}, first=(SET,)),
    fs.FileDownload: Use("fs download /lfs1/hello {folder}/back", {"bytes": 5}, first=(PUT,)),
    fs.FileUpload: Use(PUT, {"bytes": 5, "verified": True}),
    fs.FileStatus: Use("fs stat /lfs1/hello", {"len": 5}, first=(PUT,)),
    fs.FileHash: Use("fs hash /lfs1/hello --type crc32", {"hash": "3610a686"}, first=(PUT,)),
    fs.HashTypes: Use("fs types", {"types": [{"name": "sha256", "size_bytes": 32}]}),
    fs.FileClose: Use("fs close", {"closed": True}),
    shell.ShellExecute: Use("shell kernel version", {"ret": 0}),
    enum.GroupCount: Use("enum", {"groups": [{"group": 63}]}, without=(enum.GroupDetails, enum.GroupList)),
    enum.GroupSingle: Use("enum", {"groups": [{"group": 10}]}, without=(enum.GroupDetails, enum.GroupList)),
    enum.GroupList: Use("enum", {"groups": [{"group": 8}]}, without=(enum.GroupDetails,)),
    enum.GroupDetails: Use("enum", {"groups": [{"group": 1, "name": "img mgmt", "handlers": 7}]}),
    transport.TransportConnect: Use("transport connect 1", {"connected": True}),
    transport.TransportDisconnect: Use("transport disconnect", {"disconnected": True}),
    transport.TransportStatus: Use("transport status", {"supported": 1, "active": 0}),
    transport.TransportList: Use("transport list", {"transports": [{"id": 1, "name": "bluetooth"}]}),
    transport.TransportModes: Use("transport modes 1", {"modes": [{"id": 0, "description": "central"}]}),
    transport.TransportConfigs: Use("transport configs 1", {"configs": [{"name": "address", "type": "string"}]}),
    zephyr.EraseStorage: Use("storage erase --yes", {"erased": True}),
}


class Bridging(TransportGroup):
    """A build with a wire that can be bridged, which the device as it comes has not."""

    def on_transport_connect(self, request: transport.TransportConnect) -> Empty:
        return Empty()

    def on_transport_disconnect(self, request: transport.TransportDisconnect) -> Empty:
        return Empty()

    def on_transport_modes(self, request: transport.TransportModes) -> transport.TransportModesReply:
        return transport.TransportModesReply((transport.TransportMode(0, "central", outgoing=True),))

    def on_transport_configs(self, request: transport.TransportConfigs) -> transport.TransportConfigsReply:
        return transport.TransportConfigsReply((transport.TransportConfig("address", 3, required=True),))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[Kind | None]:
    """The requests that reach the device. It has every command, but for those that a row takes away."""
    seen: list[Kind | None] = []
    served = Server.answers
    without = USES[request.getfixturevalue("kind")].without

    def answers(server: Server, packet: bytes) -> list[bytes]:
        kind = find_request(Op(packet[0] & 3), int.from_bytes(packet[4:6], "big"), packet[7])
        seen.append(kind)
        return server.refuse(packet, MgmtRc.ENOTSUP) if kind in without else served(server, packet)

    monkeypatch.setattr(Server, "answers", answers)
    monkeypatch.setattr(application, "DEFAULT_OPTIONS", application.Options(without=()))
    monkeypatch.setattr(application, "TransportGroup", Bridging)
    return seen


@over_the_registry
def test_command_line(kind: Kind, desk: Desk, asked: list[Kind | None]) -> None:
    use = USES[kind]
    (desk.folder / "hello").write_bytes(b"hello")
    desk.image(version="2.0.0")
    for line in (*use.first, use.line):
        assert line.split()[0] != "raw"
        asked.clear()
        said = desk.json(*line.format(folder=desk.folder).split())
    assert kind in asked
    assert says(said, use.says), said


def says(said: Any, expected: Any) -> bool:
    """Is what is expected in what was said? Of an object those keys, of a list an item like it."""
    if isinstance(expected, dict):
        return isinstance(said, dict) and all(key in said and says(said[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return isinstance(said, list) and all(any(says(item, one) for item in said) for one in expected)
    return bool(said == expected)
