"""The files of a stored device, of whatever kind: its lock, its mapped memories, its console, and its errors."""

from __future__ import annotations

import json
import mmap
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smpdfu.errors import ConnectError, SmpdfuError
from smpdfu.image.files import write_file_atomic
from smpdfu.local.state.lock import HeldError, Lock
from smpdfu.local.state.own import make_own_folder, open_own
from smpdfu.virtual.store.names import home

_LOG_MAX = 1 << 20


def make_device(name: str, files: Iterable[tuple[str, bytes]]) -> None:
    """Make the folder of a new device, with these files: all of it, or nothing. Raises ``OSError``."""
    make_own_folder(home())
    beside = home() / f".{name}.{secrets.token_hex(4)}"
    beside.mkdir(mode=0o700)
    try:
        for file, data in files:
            write_file_atomic(beside / file, data, mode=0o600, follow_links=False)
        beside.rename(home() / name)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def locked(name: str, folder: Path) -> Lock:
    """Return the lock of a device, taken. Raises ConnectError if another process has it."""
    lock = Lock(folder / "lock")
    try:
        with sentences(name):
            lock.acquire()
    except HeldError as error:
        who = f"process {error.note['pid']}" if "pid" in error.note else "another process"
        port = f" at {error.note['port']}" if "port" in error.note else ""
        raise ConnectError(f"{who} uses the virtual device {name!r}{port}", f"virtual:{name}") from None
    return lock


@contextmanager
def sentences(name: str) -> Iterator[None]:
    """Turn any error from the files of a device into one ConnectError."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SmpdfuError) as error:
        raise ConnectError(f"smpdfu cannot use the virtual device {name!r}: {error}", f"virtual:{name}") from error


def map_file(path: Path, size_bytes: int, access: int) -> mmap.mmap:
    """Map a file. Raises ValueError if it has another size, ``OSError``."""
    with os.fdopen(open_own(path, os.O_RDWR), "r+b") as file:
        if os.fstat(file.fileno()).st_size != size_bytes:
            raise ValueError(f"{path} does not have {size_bytes} bytes")
        return mmap.mmap(file.fileno(), size_bytes, access=access)


def open_log(path: Path) -> Any:
    """Open a console to append lines; one that is too long begins anew. Raises ``OSError``."""
    descriptor = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if os.fstat(descriptor).st_size > _LOG_MAX:
        os.ftruncate(descriptor, 0)
    return os.fdopen(descriptor, "a", buffering=1, encoding="utf-8")


def to_json(value: dict[str, Any]) -> bytes:
    """JSON as the files of a device have it; bytes in hex."""
    return json.dumps(value, default=bytes.hex, indent=1).encode()
