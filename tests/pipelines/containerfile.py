"""Reads ``Containerfile``: stages and their instructions, as far as ours has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """One stage: its instructions in their order, each as a word and the rest of its line."""

    instructions: tuple[tuple[str, str], ...]

    def all(self, word: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == word]


def read_stages(root: Path) -> list[Stage]:
    """What stands in the container file before the first stage, and the stages."""
    text = re.sub(r"^\s*#.*\n", "", (root / "Containerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, " ".join(rest.split())))
    return [Stage(tuple(one)) for one in found]
