"""Commands by name, as the files that declare them register them: ``register(app: Group)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Group:
    """Commands and groups of commands by name. ``wanted`` is the one name that a run needs; empty: all of them."""

    def __init__(self, summary: str = "", wanted: str = "") -> None:
        self.summary = summary
        self.wanted = wanted
        self.commands: dict[str, Callable[..., Any]] = {}
        self.groups: dict[str, Group] = {}

    def takes(self, name: str) -> bool:
        """Is this name part of the run?"""
        return not self.wanted or self.wanted == name

    def add_group(self, name: str, group: Group) -> None:
        """Add a group, if the run needs it."""
        if self.takes(name):
            self.groups[name] = group


def command(group: Group, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function the command ``name`` of ``group``; the function itself stays as it is."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if group.takes(name):
            group.commands[name] = function
        return function

    return register
