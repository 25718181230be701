"""The commands of docs/gateways.md that need a hawkBit, as one script for a server at another address."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.agent.servers.values import UpdateServer
from tests.deadlines import HANG_S
from tests.test_docs import ROOT, read

PAGE = ROOT / "docs" / "gateways.md"
WRITTEN = "http://127.0.0.1:8080"
"""The server's address in the page."""
WORDS = ("sh", "hawkbit")
"""The fence of a block that needs a hawkBit."""


def script(url: str) -> str:
    """The page's blocks, one after the other."""
    return "".join(block.text for block in read(PAGE) if block.words[:2] == WORDS).replace(WRITTEN, url)


def carry_out(folder: Path, server: UpdateServer, password: str = "admin") -> subprocess.CompletedProcess[str]:
    """Run the page's commands in ``folder``."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "smpdfu"
    start = "from smpdfu.__main__ import main; main()"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{start}" "$@"\n')
    program.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SMPDFU_")}
    environment = kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, sys.path))),
        "SMPDFU_VIRTUAL_HOME": str(folder / "devices"),
        "SMPDFU_STATE_HOME": str(folder / "state"),
        "GATEWAY_TOKEN": server.gateway_token(),
        "HAWKBIT_PASSWORD": password,
    }
    return subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script(server.url)],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * HANG_S,
    )
