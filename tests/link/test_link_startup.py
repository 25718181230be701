"""A command that needs no wire does not pay for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("bleak", "serial", "cryptography")


@pytest.mark.parametrize("module", ["smpdfu.client", "smpdfu.link.serial.pipe", "smpdfu.link.memory", "smpdfu.connect"])
def test_importing_does_not_load_what_only_a_wire_needs(module: str, root: Path) -> None:
    script = f"import sys, {module}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
