"""The names of the virtual devices, and the process that runs each. Loads no device, so completion is fast."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from smpdfu.errors import ConnectError
from smpdfu.local.state.folders import state_home
from smpdfu.local.state.lock import holder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def home() -> Path:
    """Return the folder of the devices: ``SMPDFU_VIRTUAL_HOME``, else ``virtual`` in the state folder."""
    given = os.environ.get("SMPDFU_VIRTUAL_HOME")
    return Path(given) if given else state_home() / "virtual"


def list_devices() -> tuple[str, ...]:
    """Return the names of the devices, sorted."""
    try:
        return tuple(sorted(path.parent.name for path in home().glob("*/device.json") if is_name(path.parent.name)))
    except OSError:
        return ()


def holder_of(name: str) -> dict[str, Any] | None:
    """Return the process that runs the device: its ``pid``, and ``port`` if it has one; None if no process does."""
    return holder(folder_of(name) / "lock")


def is_name(name: str) -> bool:
    """Return whether a device can have this name."""
    return _NAME.fullmatch(name) is not None


def check_new(name: str) -> None:
    """Raise ``ValueError`` if this is not a name for a device, or another device has it."""
    if not is_name(name):
        raise ValueError(f"{name!r} cannot be the name of a device: use 1 to 64 letters, digits, dots, - and _")
    if name in list_devices():
        raise ValueError(f"the virtual device {name!r} exists already. Choose another name, or delete that device")


def folder_of(name: str) -> Path:
    """Return the folder of a device. Raises ConnectError if there is no such device."""
    if name not in list_devices():
        known = ", ".join(list_devices()) or "none"
        raise ConnectError(f"there is no virtual device {name!r}. Known devices: {known}", f"virtual:{name}")
    return home() / name
