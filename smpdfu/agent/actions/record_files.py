"""The records of an agent's devices on the disk: one small file each, replaced as a whole.

A file is written beside the old one, brought to the disk, and takes its name: whoever is killed at any point leaves the
old record or the new one. The folder belongs to one process at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smpdfu.agent.actions.record import DeviceRecord
from smpdfu.errors import FormatError, JournalError
from smpdfu.local.state.lock import HeldError, Lock
from smpdfu.local.state.own import READ_ANYONES, keep_names, make_own_folder, open_own
from smpdfu.untrusted.jsontext import load

MAX_RECORD_BYTES = 1 << 20


def folder_of(state: Path, server: str, tenant: str) -> Path:
    """Where an agent with this folder keeps the records of its devices at one server: another one has other actions."""
    key = hashlib.sha256(f"{server}\0{tenant}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return state / f"devices-{key}"


class RecordFiles:
    """The folder of the records. Methods raise JournalError if a file cannot be read or written.

    Each does its work at once, on the disk: call them off the event loop.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the folder alone while inside. Raises JournalError if another process works with it."""
        lock = Lock(self.folder / "lock")
        try:
            make_own_folder(self.folder)
            lock.acquire()
        except HeldError as error:
            pid = error.note.get("pid", "?")
            raise JournalError(f"another agent works for this gateway: process {pid}").because("agent-runs") from error
        except OSError as error:
            raise JournalError(f"the folder {self.folder} cannot be used: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()

    def path_of(self, controller: str) -> Path:
        """The file of the device with this id at the server. The id is never used raw."""
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", controller).strip("_.")[:40] or "device"
        key = hashlib.sha256(controller.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return self.folder / f"{name}-{key}.json"

    def read(self, controller: str) -> tuple[DeviceRecord, Path | None]:
        """The record of a device, a new one if there is none.

        A damaged file is renamed: its new name is returned, too.
        """
        path = self.path_of(controller)
        try:
            with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
                data = file.read(MAX_RECORD_BYTES + 1)
        except FileNotFoundError:
            return DeviceRecord(controller), None
        except OSError as error:
            raise JournalError(f"the record {path} cannot be read: {error.strerror or error}") from error
        try:
            record = DeviceRecord.from_entry(load(data, MAX_RECORD_BYTES))
        except FormatError:
            return DeviceRecord(controller), self._aside(path)
        return (record, None) if record.controller == controller else (DeviceRecord(controller), self._aside(path))

    def look(self, controller: str) -> DeviceRecord:
        """The record of a device, which may be another user's, a new one if there is none. Nothing is renamed.

        Raises FormatError for a damaged file, or OSError.
        """
        try:
            with os.fdopen(os.open(self.path_of(controller), READ_ANYONES), "rb") as file:
                return DeviceRecord.from_entry(load(file.read(MAX_RECORD_BYTES + 1), MAX_RECORD_BYTES))
        except FileNotFoundError:
            return DeviceRecord(controller)

    def read_all(self, controllers: Iterable[str]) -> dict[str, tuple[DeviceRecord, Path | None]]:
        """As ``read``, for many devices."""
        return {one: self.read(one) for one in controllers}

    def write(self, record: DeviceRecord) -> None:
        """Replace the record of a device. When this returns, it outlives a power cut."""
        path = self.path_of(record.controller)
        new = path.with_suffix(".new")
        data = json.dumps(record.to_entry()).encode()
        try:
            make_own_folder(self.folder)
            _write_whole(new, data)
            os.replace(new, path)
            keep_names(self.folder)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise JournalError(f"the record {path} cannot be written: {error.strerror or error}") from error

    def _aside(self, path: Path) -> Path:
        number = 1
        while (moved := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        try:
            path.rename(moved)
        except OSError as error:
            raise JournalError(f"the damaged record {path} cannot be renamed: {error.strerror or error}") from error
        return moved


def _write_whole(path: Path, data: bytes) -> None:
    fd = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
