"""Reads a GitLab CI/CD component as GitLab does (inputs, then jobs), and runs the scripts of its job as a runner does.

Sources: docs.gitlab.com/ci/inputs (types, interpolation) and docs.gitlab.com/runner/shells (one shell for before_script
and script; it ends at the first command that fails).
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deadlines import HANG_S

_TYPES = {"string": str, "boolean": bool, "array": list, "number": int}
_BLOCK = re.compile(r"\$\[\[ *inputs\.([\w-]+) *\]\]")


@dataclass(frozen=True)
class Component:
    """A component: the inputs that it has, and the jobs with what was given for them."""

    inputs: dict[str, dict[str, Any]]
    jobs: dict[str, Any]


def read_component(path: Path, given: dict[str, Any]) -> Component:
    """Read a component and fill in the inputs. Raises ``ValueError`` for what GitLab refuses."""
    head, body = yaml.safe_load_all(path.read_text("utf-8"))
    described = head["spec"]["inputs"]
    if unknown := set(given) - set(described):
        raise ValueError(f"unknown inputs: {unknown}")
    values = {}
    for name, one in described.items():
        if name not in given and "default" not in one:
            raise ValueError(f"{name} is required")
        values[name] = given.get(name, one.get("default"))
        if not isinstance(values[name], _TYPES[one.get("type", "string")]):
            raise ValueError(f"{name} is not of type {one.get('type', 'string')}")
    return Component(described, _filled(body, values))


def template(root: Path, **given: Any) -> Component:
    """Our component with these inputs; an underscore stands for the dash in an input's name."""
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return read_component(root / "templates" / "package.yml", {"public-key": "release.pub.pem"} | named)


def _filled(node: Any, values: dict[str, Any]) -> Any:
    """What a node is with the inputs in it: a block alone is the value itself, within a text it is text."""
    match node:
        case dict():
            return {_filled(key, values): _filled(value, values) for key, value in node.items()}
        case list():
            return [_filled(one, values) for one in node]
        case str():
            alone = _BLOCK.fullmatch(node)
            return values[alone[1]] if alone else _BLOCK.sub(lambda found: _as_text(values[found[1]]), node)
    return node


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def filled_in_text(root: Path) -> dict[str, Any]:
    """The jobs of our component as a GitLab reads them that fills inputs in before it reads the YAML (its defaults)."""
    head, _, body = (root / "templates" / "package.yml").read_text("utf-8").partition("\n---\n")
    values = {name: one.get("default", "") for name, one in yaml.safe_load(head)["spec"]["inputs"].items()}
    found = yaml.safe_load(_BLOCK.sub(lambda block: _as_text(values[block[1]]), body))
    assert isinstance(found, dict)
    return found


def run_job(job: dict[str, Any], folder: Path, environment: dict[str, str], shell: str) -> tuple[int, str]:
    """Run the scripts of a job; returns the exit code and the log."""
    lines = [*job["before_script"], *job["script"]]
    strict = "set -eo pipefail" if shell == "bash" else "set -e"
    ended = subprocess.run(
        [shell],
        input="\n".join([strict, *lines]) + "\n",
        cwd=folder,
        env=environment | job["variables"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_S,
    )
    return ended.returncode, ended.stdout
