"""The error for a name that a new virtual device cannot have."""

from __future__ import annotations

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.virtual.store.names import list_devices


def refused_name(name: str, error: ValueError) -> typer.BadParameter:
    """Return the error for the command line. If a device has the name, it ends with the command that deletes it."""
    command = f": `smpdfu virtual delete {name}`" if name in list_devices() else ""
    return typer.BadParameter(f"{error}{command}")
