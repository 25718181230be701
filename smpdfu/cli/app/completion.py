"""Values that a shell offers for an argument or an option. It asks no device, is fast, and never fails.

Each function imports what it lists only when a shell asks: a command that runs needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress


def ports(incomplete: str) -> list[str]:
    """Serial ports, by name."""
    with suppress(Exception):  # a shell that completes has no use for a sentence
        from smpdfu.link.serial.pipe import list_serial_ports

        return _that(incomplete, [port.name for port in list_serial_ports()])
    return []


def addresses(incomplete: str) -> list[str]:
    """Addresses of what is here, and how the others begin."""
    with suppress(Exception):
        from smpdfu.connect import WIRES, nearby

        starts = [f"{kind}:" for kind in sorted(WIRES)]
        return _that(incomplete, [*nearby(), *starts])
    return []


def profile_names(incomplete: str) -> list[str]:
    """Profiles of smpdfu.toml."""
    with suppress(Exception):
        from smpdfu.cli.app.config_file import configs

        return _that(incomplete, [name for file in configs() for name in file.names])
    return []


def commands(incomplete: str) -> list[str]:
    """Commands that ``--help`` lists, and the topic ``connection``."""
    from smpdfu.cli.app.tree import COMMANDS

    return _that(incomplete, [*COMMANDS, "connection"])


def virtual_names(incomplete: str) -> list[str]:
    """Virtual devices, by name."""
    with suppress(Exception):
        from smpdfu.virtual.store.names import list_devices

        return _that(incomplete, list_devices())
    return []


def loader_names(incomplete: str) -> list[str]:
    """Releases whose loader a virtual device can have."""
    from smpdfu.loaders.releases import NAMES

    return _that(incomplete, list(NAMES))


def layouts(incomplete: str) -> list[str]:
    """Layouts of a virtual device, by name."""
    from smpdfu.virtual.store.kinds import layout_names

    return _that(incomplete, layout_names())


def fleet_files(incomplete: str) -> list[str]:
    """Files that may describe a fleet, and the folders beside them, with a ``/`` at their end."""
    with suppress(OSError):
        start = incomplete[: incomplete.rfind("/") + 1]
        hidden = incomplete[len(start) :].startswith(".")
        with os.scandir(start or ".") as entries:
            shown = [one for one in entries if hidden or not one.name.startswith(".")]
            folders = [f"{start}{one.name}/" for one in shown if one.is_dir()]
            files = [f"{start}{one.name}" for one in shown if one.name.endswith(".toml") and one.is_file()]
        return _that(incomplete, [*sorted(files), *sorted(folders)])
    return []


def one_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """What completes an option whose values are ``names``."""

    def values(incomplete: str) -> list[str]:
        return _that(incomplete, names)

    return values


def _that(incomplete: str, found: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete) and name.isprintable()]
