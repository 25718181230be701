"""``virtual delete``."""

from __future__ import annotations

from smpdfu.cli.terminal.show import Output
from smpdfu.connect import place_of
from smpdfu.dfu.do.journal import journal_path
from smpdfu.dfu.do.journal_repair import remove
from smpdfu.errors import JournalError
from smpdfu.virtual.store import devices as store_devices


def delete_device(name: str, out: Output) -> None:
    """Delete a device and the journal of its updates, which would be wrong about a new device of the same name.

    Raises ConnectError if a process runs it, or it does not exist.
    """
    store_devices.delete(name)
    try:
        remove(journal_path(place_of(f"virtual:{name}")))
    except JournalError as error:
        out.warn(f"the record of its updates stays: {error}")
    out.emit({"deleted": name}, lambda: f"Deleted {name}")
