"""What to do next after an error of an update server: each row has its code in the agent, and is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import smpdfu
from smpdfu.agent.management.states import RolloutEnd
from smpdfu.cli.app.advice import advice
from smpdfu.cli.app.server_advice import SERVER_ADVICE
from smpdfu.errors import PublishError, ServerLinkError

AGENT = "\n".join(path.read_text() for path in (Path(smpdfu.__file__).parent / "agent").rglob("*.py"))
ENDS = {f"rollout-{end.name.lower()}" for end in RolloutEnd if end is not RolloutEnd.FINISHED}


@pytest.mark.parametrize("code", SERVER_ADVICE)
def test_every_row_is_for_a_code_of_the_agent_and_is_a_sentence(code: str) -> None:
    assert code in ENDS or f'"{code}"' in AGENT
    said = SERVER_ADVICE[code]
    assert said.endswith(".")
    assert said.startswith(("`smpdfu ", "hawkBit")) or said[0].isupper()


def test_every_end_of_a_rollout_has_one() -> None:
    assert set(SERVER_ADVICE) >= ENDS


def test_the_code_decides_before_the_class() -> None:
    assert "--ca" in advice(ServerLinkError("no").because("tls-untrusted"))
    assert "agent doctor" in advice(ServerLinkError("no"))
    assert "--name" in advice(PublishError("no").because("publish-content"))
