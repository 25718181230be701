"""Runs the steps of a composite action as GitHub's runner does: expressions, environment, outputs.

What it does was read in the runner's source (github.com/actions/runner: ``CompositeActionHandler.cs``,
``ScriptHandlerHelpers.cs``). It knows the expressions that our action has, and refuses others.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.deadlines import HANG_S

SHELL = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
"""How the runner starts ``shell: bash``."""

_EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+)( != '')? *\}\}")
_CONDITION = re.compile(r"([\w.-]+) != ''")


@dataclass
class Finished:
    """One run of the action: the log of its shell steps, what failed, what it hands on."""

    log: str = ""
    failed: str | None = None
    steps: dict[str, dict[str, str]] = field(default_factory=dict)
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Each foreign action that would run, with its inputs."""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Runner:
    """A runner with one checkout of the action; ``environment`` is that of the machine."""

    action: Path
    workspace: Path
    temporary: Path
    environment: dict[str, str]

    def run(self, inputs: dict[str, str], given: dict[str, dict[str, str]] | None = None) -> Finished:
        """Run the action. ``given`` has the outputs of steps that do not run, because they ran before."""
        description = yaml.safe_load((self.action / "action.yml").read_text("utf-8"))
        values = {name: one.get("default", "") for name, one in description["inputs"].items()}
        assert set(inputs) <= set(values), "GitHub warns of an input that the action does not have"
        done = Finished(steps=dict(given or {}))
        for step in description["runs"]["steps"]:
            if step.get("id") not in done.steps:
                self._step(step, values | inputs, done)
            if done.failed:
                return done
        done.outputs = {
            name: self._filled(one["value"], values | inputs, done) for name, one in description["outputs"].items()
        }
        return done

    def _step(self, step: dict[str, Any], inputs: dict[str, str], done: Finished) -> None:
        if "if" in step:
            found = _CONDITION.fullmatch(step["if"])
            assert found, step["if"]
            if self._value(found[1], inputs, done) == "":
                return
        if "uses" in step:
            given = {name: self._filled(value, inputs, done) for name, value in step.get("with", {}).items()}
            done.used.append((step["uses"], given))
            return
        self._shell(step, inputs, done)

    def _shell(self, step: dict[str, Any], inputs: dict[str, str], done: Finished) -> None:
        assert step["shell"] == "bash", step
        script, output, summary = (self.temporary / name for name in ("step.sh", "output", "summary"))
        self.temporary.mkdir(exist_ok=True)
        script.write_text(step["run"])
        output.write_text("")
        own = {name: self._filled(value, inputs, done) for name, value in step.get("env", {}).items()}
        files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "RUNNER_TEMP": str(self.temporary)}
        ended = subprocess.run(
            [*SHELL, script],
            cwd=self.workspace,
            env=self.environment | files | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG_S,
        )
        done.log += ended.stdout
        if ended.returncode:
            done.failed = step["name"]
        if "id" in step:
            lines = output.read_text("utf-8").splitlines()
            done.steps[step["id"]] = dict(line.split("=", 1) for line in lines)

    def _filled(self, text: str, inputs: dict[str, str], done: Finished) -> str:
        def value(found: re.Match[str]) -> str:
            value = self._value(found[1], inputs, done)
            return value if found[2] is None else str(value != "").lower()

        return _EXPRESSION.sub(value, text)

    def _value(self, expression: str, inputs: dict[str, str], done: Finished) -> str:
        """The value of an expression; an output that no step set is empty, as on GitHub."""
        match expression.split("."):
            case ["inputs", name]:
                return inputs[name]
            case ["steps", step, "outputs", name]:
                return done.steps.get(step, {}).get(name, "")
            case ["github", "action_path"]:
                return os.fspath(self.action)
        raise AssertionError(f"the runner of the tests does not know {expression}")
