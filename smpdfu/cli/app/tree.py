"""The tree of commands. A call imports and builds its own branch only, for that is where a start-up spends its time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import typer

from smpdfu.cli.terminal.help import HelpGroup

COMPLETE_VAR = "_SMPDFU_COMPLETE"
"""The variable by which a shell asks for completion."""

ROOMS: Mapping[str, tuple[str, ...]] = {
    "image.commands": ("sign", "verify", "inspect", "keygen", "getpub", "getpubhash", "getpriv", "keyinfo"),
    "image.package": ("package",),
    "update.slots": ("list", "upload", "test", "confirm", "erase", "reset", "echo", "info", "image"),
    "update.update": ("update",),
    "device.system": ("taskstat", "mpstat", "bootloader", "params"),
    "device.datetime": ("datetime",),
    "device.small_groups": ("stat", "enum", "storage"),
    "device.settings": ("settings",),
    "device.fs": ("fs",),
    "device.shell": ("shell",),
    "device.transport": ("transport",),
    "device.raw": ("raw",),
    "virtual.commands": ("virtual",),
    "virtual.tutorial": ("tutorial",),
    "computer.scan": ("scan",),
    "computer.doctor": ("doctor",),
    "computer.profiles": ("profiles",),
    "fleet.commands": ("fleet",),
    "computer.decode": ("decode",),
}
"""The modules of ``cli/`` with a ``register(app)``, in the order of ``--help``, and the commands that each one adds."""


class Tree(typer.Typer):
    """An app that takes only the commands which this run needs.

    ``wanted`` is the one command that is called; None: all of them, whole; "": all of them by name, without their
    options, which is what ``--help`` shows.
    """

    def __init__(self, wanted: str | None = None, **settings: Any) -> None:
        super().__init__(cls=HelpGroup, **settings)
        self.wanted = wanted

    def takes(self, name: str) -> bool:
        """Is this command part of the run?"""
        return not self.wanted or self.wanted == name

    def add_typer(self, typer_instance: typer.Typer, *, name: str | None = None, **settings: Any) -> None:
        """Add a group of commands, if the run needs it."""
        if name is None or self.takes(name):
            super().add_typer(typer_instance, name=name, cls=HelpGroup, **settings)

    def furnish(self) -> None:
        """Import the rooms that have what is wanted, and let them add their commands."""
        for room, commands in ROOMS.items():
            if not self.wanted or self.wanted in commands:
                import_module(f"smpdfu.cli.{room}").register(self)


def wanted_command(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> str | None:
    """Which command ``words``, the arguments of ``smpdfu``, call, as ``Tree`` wants to know it."""
    if COMPLETE_VAR in environment:  # a shell asks what could follow the words of a line
        line = environment.get("COMP_WORDS") or environment.get("_TYPER_COMPLETE_ARGS") or ""
        words = line.split()[1:]
        return _known(words) or (None if len(words) > 1 else "")
    found = _known(words)
    return found if found is not None or _is_a_word_given(words) else ""


def _known(words: Sequence[str]) -> str | None:
    first = next((word for word in words if not word.startswith("-")), None)
    return first if any(first in commands for commands in ROOMS.values()) else None


def _is_a_word_given(words: Sequence[str]) -> bool:
    return any(not word.startswith("-") for word in words)


def bare(function: Callable[..., Any]) -> Callable[[], None]:
    """A command that has the name and the help of ``function`` and none of its options."""

    def nothing() -> None: ...

    nothing.__name__, nothing.__doc__ = function.__name__, function.__doc__
    return nothing
