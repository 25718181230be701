"""One process at a time for a device that has several names: a lock for each address that the names lead to.

The journal has a lock of its own, by the address as a person wrote it. Two host names of one device have two journals,
and would have two locks; so what the names resolve to is locked, too.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from smpdfu.dfu.do.journal.reading import journal_path
from smpdfu.errors import JournalError
from smpdfu.local.state.folders import state_home
from smpdfu.local.state.lock import HeldError, Lock
from smpdfu.local.state.own import make_own_folder


@contextmanager
def locked(places: Iterable[str], warn: Callable[[str], None] | None = None) -> Iterator[None]:
    """Have the device at these places (``connect.places_by_lookup``) while inside; without any, nothing is locked.

    Raises JournalError when another process, or another update in this one, has one of them. If the lock's file cannot
    be written, ``warn`` gets a sentence and the call continues; without ``warn``, that is a JournalError, too: a call
    that writes a journal cannot continue without the same folder.
    """
    with ExitStack() as stack:
        for place in sorted(set(places)):
            stack.enter_context(_one(place, warn))
        yield


@contextmanager
def _one(place: str, warn: Callable[[str], None] | None) -> Iterator[None]:
    folder = state_home() / "locks"
    lock = Lock(folder / journal_path(place).with_suffix(".lock").name)
    try:
        make_own_folder(folder)
        lock.acquire()
    except HeldError as error:
        held = BlockingIOError(errno.EWOULDBLOCK, f"process {error.note.get('pid', '?')} has it")
        raise JournalError(
            f"process {error.note.get('pid', '?')} is updating the device at {place}, perhaps under another name"
        ) from held
    except OSError as error:
        why = f"the lock {lock.path} cannot be taken: {error.strerror or error}"
        if warn is None:
            raise JournalError(why) from error
        warn(f"{why}. Run no other command for this device until this one ends.")
    try:
        yield
    finally:
        lock.release()
