"""``virtual delete``."""

from __future__ import annotations

from smpdfu.cli.terminal.show import Output
from smpdfu.errors import JournalError
from smpdfu.library import delete_journal
from smpdfu.virtual.store import devices as store_devices


def delete_device(name: str, out: Output) -> None:
    """Delete a device and the journal of its updates, which would be wrong about a new device of the same name.

    Raises ConnectError if a process runs it, or it does not exist.
    """
    store_devices.delete(name)
    try:
        delete_journal(f"virtual:{name}")
    except JournalError as error:
        out.warn(f"the record of its updates stays: {error}")
    out.emit({"deleted": name}, lambda: f"Deleted {name}")
