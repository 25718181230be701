"""The peers that are programs in Go and Rust: each is built from its language's registry, in a pinned version.

    program            language  registry
    -----------------  --------  -------------------------------------
    ``mcumgr``         Go        the Go module proxy; mynewt's
    ``mcumgr-client``  Rust      crates.io
    ``mcumgrctl``      Rust      crates.io; built on mcumgr-toolkit

``make peers`` builds them in build/peers, some minutes each. A program counts only if the toolchain itself says that it
is the pinned one: ``go version -m`` reads it from the binary, ``cargo install --list`` from its records. Why a build
failed is kept beside it, so that ``make bench`` says so without another try; ``make peers`` tries again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / "build" / "peers"
BUILD_S = 1800.0
GO_MODULE = "github.com/apache/mynewt-mcumgr-cli"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program of another project; ``uploads``: the words of an upload, by wire, with ``{port}`` and ``{file}``."""

    name: str
    tool: str
    version: str
    uploads: Mapping[str, Sequence[str]]

    def folder(self, cache: Path) -> Path:
        """Where its build goes."""
        return cache / f"{self.name}-{self.version}"

    def program(self, cache: Path) -> Path:
        """The program, once it is built."""
        return self.folder(cache) / "bin" / self.name

    def failure(self, cache: Path) -> Path:
        """The file with the reason why the last build failed."""
        return self.folder(cache) / "failure.txt"

    def command(self, wire: str, port: str, file: Path, cache: Path = CACHE) -> list[str]:
        """The command line of an upload."""
        return [str(self.program(cache)), *(word.format(port=port, file=file) for word in self.uploads[wire])]


PEERS = (
    Peer(
        "mcumgr",
        "go",
        "v0.0.0-20221004073047-5c56bd24066c",
        {
            "pty": ("--conntype", "serial", "--connstring", "dev={port},mtu=512", "image", "upload", "{file}"),
            "udp": ("--conntype", "udp", "--connstring", "127.0.0.1:{port}", "image", "upload", "{file}"),
        },
    ),
    Peer("mcumgr-client", "cargo", "0.0.4", {"pty": ("-d", "{port}", "upload", "{file}")}),
    Peer(
        "mcumgrctl",
        "cargo",
        "0.20.0",
        {
            "pty": ("--serial", "{port}", "image", "upload", "--quiet", "{file}"),
            "raw": ("--raw", "--serial", "{port}", "image", "upload", "--quiet", "{file}"),
            "udp": ("--udp", "127.0.0.1:{port}", "image", "upload", "--quiet", "{file}"),
        },
    ),
)


def install_command(peer: Peer, folder: Path) -> tuple[list[str], dict[str, str]]:
    """What builds a peer into a folder, and what its environment needs."""
    if peer.tool == "go":
        return ["go", "install", f"{GO_MODULE}/{peer.name}@{peer.version}"], {"GOBIN": str(folder / "bin")}
    return ["cargo", "install", peer.name, "--version", peer.version, "--locked", "--root", str(folder)], {}


def identity_command(peer: Peer, cache: Path) -> tuple[list[str], str]:
    """What tells which program a build is, and the words that are in its answer if it is the pinned one."""
    if peer.tool == "go":
        return ["go", "version", "-m", str(peer.program(cache))], f"{GO_MODULE}\t{peer.version}"
    return ["cargo", "install", "--list", "--root", str(peer.folder(cache))], f"{peer.name} v{peer.version}:"


def missing(peer: Peer, cache: Path = CACHE) -> str | None:
    """Why a peer cannot be measured; None if it is built, and is the pinned program."""
    if shutil.which(peer.tool) is None:
        return f"there is no {peer.tool} on this computer, which builds {peer.name}"
    if not peer.program(cache).exists():
        failure = peer.failure(cache)
        return failure.read_text().strip() if failure.exists() else f"{peer.name} is not built: `make peers` does that"
    command, words = identity_command(peer, cache)
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return None if words in said else f"the program in {peer.folder(cache)} is not {peer.name} {peer.version}"


def build(peer: Peer, cache: Path = CACHE) -> str | None:
    """Build a peer if it is not there; why it cannot be measured, or None."""
    folder = peer.folder(cache)
    if shutil.which(peer.tool) is None or peer.program(cache).exists():
        return missing(peer, cache)
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    command, more = install_command(peer, folder)
    try:
        done = subprocess.run(
            command, env=os.environ | more, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        said, code = done.stderr, done.returncode
    except subprocess.TimeoutExpired:
        said, code = f"it was not done after {BUILD_S:g} s", 1
    if code:
        line = " ".join(command).replace(f"{ROOT}/", "")
        peer.failure(cache).write_text(f"`{line}` failed: {reason(said)}\n")
    else:
        peer.failure(cache).unlink(missing_ok=True)
    return missing(peer, cache)


def reason(said: str) -> str:
    """The line of a failed build that says why: the first that begins with "error", else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error")]
    return [*lines[-1:], *errors[:1]][-1][:240] if lines else "it says nothing"


def main() -> int:
    """Build all peers; 0 even if some cannot be had, for a benchmark without them says so."""
    for peer in PEERS:
        print(f"{peer.name} {peer.version}: {build(peer) or 'is there'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
