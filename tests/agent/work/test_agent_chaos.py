"""A short form of ``python -m tests.agent.work.gateway_chaos``; SMPDFU_CHAOS_KILLS makes it longer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.agent.work.gateway_chaos import torment


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL")
def test_no_kill_loses_a_device_or_makes_a_word_wrong(tmp_path: Path) -> None:
    found = torment(tmp_path, int(os.environ.get("SMPDFU_CHAOS_KILLS", "6")), int(os.environ.get("SMPDFU_SEED", "3")))
    assert found["finished"] >= 3
