"""Ctrl-C at any moment: exit code 130 and one line.

    while                                         Ctrl-C
    --------------------------------------------  ---------------------------------------------------------------------
    modules are imported, arguments are read      ends the program at once: nothing was done
    a command runs                                is KeyboardInterrupt, and in asyncio the end of the task
    a command has ended, and so the program does  is ignored: what there is to say was said

Imported before all else, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import signal
    from collections.abc import Callable, Coroutine
    from typing import Any, NoReturn, TypeVar

    T = TypeVar("T")
else:
    signal = __import__("_signal")  # what is behind ``signal``, without the enum module, which takes its time

EXIT_INTERRUPTED = 130
_SENTENCE = "interrupted; nothing was done yet"
_ours: list[object] = []
"""Not empty between ``leave_at_once`` and ``give_back``."""


def leave_at_once() -> None:
    """From now on Ctrl-C ends the program; not where it is ignored, or somebody else's."""
    if _replace(signal.default_int_handler, _leave):
        _ours.append(_leave)


def let_through() -> None:
    """From now on Ctrl-C is KeyboardInterrupt again: a command runs, and knows what must be put right."""
    _replace(_leave, signal.default_int_handler)


def ignore() -> None:
    """From now on Ctrl-C is nothing: the command has ended. Only in a process that is ours."""
    if _ours:
        _replace(signal.default_int_handler, signal.SIG_IGN)


def give_back() -> None:
    """Be as before ``leave_at_once``, for a program that has called ``main`` as a function."""
    if _ours:
        _replace(signal.SIG_IGN, signal.default_int_handler)
        _replace(_leave, signal.default_int_handler)
    _ours.clear()


def run_async(work: Coroutine[Any, Any, T], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """``asyncio.run``, which says nothing of work that Ctrl-C kept from beginning."""
    try:
        import asyncio  # here: this module is loaded before all others, and in every run

        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(work)
    finally:
        work.close()


def _replace(known: object, new: Any) -> bool:
    """Put ``new`` in the place of ``known``; False if something else is there, or this is no place to do so."""
    if signal.getsignal(signal.SIGINT) != known:
        return False
    try:
        signal.signal(signal.SIGINT, new)
    except ValueError:  # in a thread: whoever has the main one has Ctrl-C, too
        return False
    return True


def _leave(number: int, frame: object) -> None:
    leave()


def leave() -> NoReturn:
    """End the program at once, with exit code 130 and one line."""
    if "--json" in sys.argv[1:]:
        error = f'"kind": "interrupted", "message": "{_SENTENCE}", "next": "", "exit_code": {EXIT_INTERRUPTED}'
        os.write(1, f'{{"error": {{{error}}}}}\n'.encode())
    os.write(2, f"error: {_SENTENCE}\n".encode())
    os._exit(EXIT_INTERRUPTED)
