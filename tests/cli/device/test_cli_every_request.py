"""Every request of the registry has a command: each is typed once, and the virtual device sees what it is asked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.smp.groups import REQUESTS, find_request
from smpdfu.smp.message import Header, Request
from smpdfu.virtual.server.server import Server

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

# What is typed, in an order that suits the device, and the exit code; {} is the folder with the files.
LINES: tuple[tuple[str, int], ...] = (
    ("echo hello", 0),
    ("info", 0),
    ("bootloader", 0),
    ("params", 0),
    ("taskstat", 0),
    ("mpstat", 5),  # Zephyr has no such command
    ("datetime now", 0),
    ("list", 0),
    ("upload {}/app-2.0.0.bin", 0),
    ("test", 0),
    ("erase --slot 1", 5),  # it is pending
    ("stat list", 0),
    ("stat show smp_svr_stats", 0),
    ("settings write app/a 1", 0),
    ("settings save", 0),
    ("settings load", 0),
    ("settings commit", 0),
    ("settings read app/a", 0),
    ("settings delete app/a", 0),
    ("storage erase --yes", 0),
    ("fs upload {}/file /lfs1/", 0),
    ("fs stat /lfs1/file", 0),
    ("fs types", 0),
    ("fs hash /lfs1/file", 0),
    ("fs download /lfs1/file {}/back", 0),
    ("fs close", 0),
    ("shell kernel version", 0),
    ("enum", 0),
    ("transport list", 0),
    ("transport status", 0),
    ("transport modes 0", 5),  # the wires of this device cannot be bridged
    ("transport configs 0", 5),
    ("transport connect 0", 5),
    ("transport disconnect", 5),
    ("raw 0 6", 0),
    ("reset", 0),
)
# The device tells all of its groups at once; how a client asks where it does not is in test_cli_smallgroups.py.
NOT_NEEDED_HERE = {"GroupCount", "GroupList", "GroupSingle"}


@pytest.fixture
def table(desk: Desk) -> Desk:
    """A device, and the files that the lines name."""
    desk.image()
    (desk.folder / "file").write_bytes(bytes(5000))
    return desk


def typed(line: str, folder: Path) -> list[str]:
    return [word.format(folder) for word in line.split()]


def test_every_request_has_a_command(table: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[type[Request[Any]] | None] = set()
    dispatch = Server._dispatch

    def watched(self: Server, header: Header, rest: bytes) -> Mapping[str, object]:
        seen.add(find_request(header.op, header.group, header.command))
        return dispatch(self, header, rest)

    monkeypatch.setattr(Server, "_dispatch", watched)
    codes = {line: table.call(*typed(line, table.folder), "--json").code for line, _ in LINES}
    assert codes == dict(LINES)
    assert {kind.__name__ for kind in REQUESTS if kind not in seen} == NOT_NEEDED_HERE


@pytest.mark.parametrize("kind", ["--pty", "--shell-uart"])
def test_every_command_works_over_a_serial_port(
    table: Desk, started: Callable[..., subprocess.Popen[str]], kind: str
) -> None:
    path = table.folder / "port"
    process = started("virtual", "run", table.name, kind, "--link", path, "--json")
    assert process.stdout is not None
    assert process.stdout.readline(), process.communicate()
    codes = {line: table.run(*typed(line, table.folder), "--port", path).code for line, _ in LINES}
    assert codes == dict(LINES)
