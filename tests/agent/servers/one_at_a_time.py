"""What only one process of a test run does at a time: it gets a server for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smpdfu.local.state.lock import lock_file

_PAUSE_S = 0.2


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here with this folder, which is made; a process that ends lets the next in."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        while True:
            try:
                lock_file(file.fileno())
                break
            except BlockingIOError:
                time.sleep(_PAUSE_S)
        yield
