"""The peers that are built: which program counts as the pinned one, and what is said if there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.bench_peers import SETTINGS
from benchmarks.goals import GOALS
from benchmarks.peers import PEERS, Peer, build, missing, reason
from benchmarks.rows import Goal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for go and cargo are shell scripts")

GO, RUST = PEERS[0], PEERS[1]
TOOLS = {
    "cargo": """
        case "$2" in
            --list) echo "{name} v{listed}:" ;;
            *) for word; do root="$word"; done; {install} ;;
        esac
    """,
    "go": """
        case "$1" in
            version) printf '\\tmod\\tgithub.com/apache/mynewt-mcumgr-cli\\t%s\\th1:\\n' "{listed}" ;;
            *) root="$GOBIN/.."; {install} ;;
        esac
    """,
}
WORKS = 'touch "$root/bin/{name}"'
FAILS = "echo '  Updating index' >&2; echo 'error: it is not in the registry' >&2; echo 'the end' >&2; exit 101"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins, which hides the toolchains of this computer."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "touch").symlink_to("/usr/bin/touch")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def stand_in(tools: Path, peer: Peer, install: str, listed: str | None = None) -> None:
    """A toolchain that installs a peer with ``install``, and says that its version is ``listed``."""
    words = {"name": peer.name, "listed": listed or peer.version, "install": install.format(name=peer.name)}
    script = tools / peer.tool
    script.write_text("#!/bin/sh\n" + TOOLS[peer.tool].format(**words))
    script.chmod(0o755)


@pytest.mark.parametrize("peer", [GO, RUST], ids=lambda peer: peer.name)
def test_a_built_peer_counts_if_its_toolchain_says_that_it_is_the_pinned_one(
    peer: Peer, tools: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    stand_in(tools, peer, WORKS)
    assert missing(peer, cache) == f"{peer.name} is not built: `make peers` does that"
    assert build(peer, cache) is None
    assert peer.program(cache).exists()
    stand_in(tools, peer, WORKS, listed="9.9.9")
    assert "is not " + peer.name in (missing(peer, cache) or "")


@pytest.mark.parametrize("peer", [GO, RUST], ids=lambda peer: peer.name)
def test_a_build_that_fails_is_the_reason_until_one_works(peer: Peer, tools: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    stand_in(tools, peer, FAILS)
    said = build(peer, cache)
    assert said is not None
    assert said.startswith(f"`{peer.tool} install ")
    assert said.endswith("failed: error: it is not in the registry")
    assert missing(peer, cache) == said
    stand_in(tools, peer, WORKS)
    assert build(peer, cache) is None
    assert missing(peer, cache) is None


def test_without_the_toolchain_that_is_the_reason(tools: Path, tmp_path: Path) -> None:
    assert not list(tools.glob("go"))
    assert build(GO, tmp_path) == "there is no go on this computer, which builds mcumgr"


def test_the_reason_of_a_build_is_its_error_or_its_last_line() -> None:
    assert reason("Updating\nerror: no such crate\nhelp: look\n") == "error: no such crate"
    assert reason("go: reading the proxy: 403 Forbidden\n\tserver response: Not available.\n").startswith("server")
    assert reason("\n") == "it says nothing"


@pytest.mark.parametrize("goal", [one for one in GOALS if one.bench == "bench_peers"], ids=lambda one: one.name)
def test_each_goal_about_a_peer_names_one_and_a_wire_that_it_has(goal: Goal) -> None:
    wire, _, name = goal.name.removeprefix("whole upload, ").partition(": ")
    assert name == goal.other
    known = {peer.name: peer for peer in PEERS}
    assert name == "smpmgr" or SETTINGS[wire].wire in known[name].uploads


def test_an_upload_names_the_port_and_the_file(tmp_path: Path) -> None:
    command = RUST.command("pty", "/dev/pts/7", Path("app.bin"), tmp_path)
    assert command == [
        str(tmp_path / f"mcumgr-client-{RUST.version}" / "bin" / RUST.name),
        "-d",
        "/dev/pts/7",
        "upload",
        "app.bin",
    ]
    assert GO.command("udp", "1337", Path("app.bin"), tmp_path)[3:5] == ["--connstring", "127.0.0.1:1337"]
