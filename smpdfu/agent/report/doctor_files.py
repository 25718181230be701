"""Checks of a gateway before its agent runs: secrets, extras, folders. Nothing is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from smpdfu.agent.description.authentication import Credentials
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.report.metrics import check_installed
from smpdfu.errors import AgentFileError
from smpdfu.local.doctor.checks import Finding, Level
from smpdfu.local.state.folders import state_home

TOPIC = "files"
LEAST_FREE_BYTES = 16 << 20
"""With less space than this, an agent cannot keep even one package and its records."""
LEAST_STATE_BYTES = 1 << 20
"""With less space than this, an agent can soon note nothing: it begins no update then."""
Free = Callable[[Path], int]


def free_bytes(path: Path) -> int:
    """Return how many bytes are free where ``path`` is. Raises OSError."""
    return shutil.disk_usage(path).free


def check_files(file: AgentFile, free: Free = free_bytes) -> Iterator[Finding]:
    """Check the extras that the file needs, and the folders that the agent writes to."""
    if file.metrics is not None:
        try:
            check_installed()
        except AgentFileError as error:
            yield Finding("extra-missing", TOPIC, Level.ERROR, str(error))
    yield from _folder(file.state, "the state folder", "'state' in [agent]")
    yield from _folder(file.artifacts.path, "the folder for packages", "'folder' in [artifacts]")
    home = state_home()
    if not file.state.is_relative_to(home):
        yield from _folder(home, "the folder for the journals of devices", "SMPDFU_STATE_HOME")
        yield from _room(home, "the journals of devices", free)
    yield from _room(file.state, "the records of the agent", free)
    yield from _space(file, free)
    if file.artifacts.allow_sha1:
        yield Finding(
            "sha1",
            TOPIC,
            Level.NOTE,
            "the agent takes packages for which the server gives only a SHA-1",
            "A SHA-1 does not protect against a forged file. The signatures of the images do, by 'trust' in [update].",
            "If your server gives a SHA-256, remove 'allow_sha1' from [artifacts].",
        )


def check_secrets(file: AgentFile) -> Credentials | Finding:
    """Read the secrets, or say why that cannot be done."""
    try:
        return file.authentication.credentials(file.devices)
    except AgentFileError as error:
        return Finding("secret", TOPIC, Level.ERROR, str(error))
    except OSError as error:
        what = f"{error.filename or file.authentication.source}: {error.strerror or error}"
        return Finding(
            "secret",
            TOPIC,
            Level.ERROR,
            f"the secret of [authentication] cannot be read: {what}",
            "The agent needs it to log in at the server.",
            "Write the secret into this file (chmod 600), or correct the name of the file in [authentication].",
        )


def _folder(path: Path, what: str, key: str) -> Iterator[Finding]:
    there = nearest(path)
    if not there.is_dir():
        yield Finding("folder", TOPIC, Level.ERROR, f"{what} {path} cannot be used: {there} is not a folder")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            "folder",
            TOPIC,
            Level.ERROR,
            f"{what} {path} cannot be written by this user",
            "The agent keeps there what it must know after a restart.",
            f"Give the folder to the user of the agent, or name another one with {key}.",
        )
    else:
        yield Finding("folder-ready", TOPIC, Level.OK, f"{what} {path} can be written")


def _room(path: Path, what: str, free: Free) -> Iterator[Finding]:
    try:
        found = free(nearest(path))
    except OSError as error:
        yield Finding("space", TOPIC, Level.WARNING, f"the free space of {path} is not known: {error.strerror}")
        return
    if found < LEAST_STATE_BYTES:
        yield Finding(
            "space",
            TOPIC,
            Level.ERROR,
            f"the disk with {what} is full: {found >> 10} KiB are free in {path}",
            "The agent begins no update that it cannot note.",
            "Free some space. The agent continues by itself then.",
        )


def _space(file: AgentFile, free: Free) -> Iterator[Finding]:
    path = file.artifacts.path
    try:
        found = free(nearest(path))
    except OSError as error:
        yield Finding("space", TOPIC, Level.WARNING, f"the free space of {path} is not known: {error.strerror}")
        return
    mib = found >> 20
    if found < LEAST_FREE_BYTES:
        yield Finding("space", TOPIC, Level.ERROR, f"the disk of {path} is full: {mib} MiB are free")
    elif found < file.artifacts.max_bytes:
        yield Finding(
            "space",
            TOPIC,
            Level.WARNING,
            f"the disk of {path} has {mib} MiB free, and packages may take {file.artifacts.max_bytes >> 20} MiB",
            "If the disk is full, the agent cannot keep a package.",
            "Free some space, or give a smaller max_bytes in [artifacts].",
        )
    else:
        yield Finding("space-enough", TOPIC, Level.OK, f"the disk of {path} has {mib} MiB free")


def nearest(path: Path) -> Path:
    """Return the path, or the nearest of its parents that is there; a link that leads nowhere is."""
    return next((one for one in (path, *path.absolute().parents) if one.exists() or one.is_symlink()), path)
