"""Ctrl-C and SIGTERM as the normal end of a command that runs until somebody stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from smpdfu.cli.app.ending import report_failure
from smpdfu.cli.terminal import interruption
from smpdfu.cli.terminal.interrupt import EXIT_INTERRUPTED

_APART_S = 0.5  # one key can send two signals: the terminal sends one, and a program in between hands on another


@contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` at Ctrl-C and at SIGTERM while inside. A second Ctrl-C ends the program at once, exit code 130.

    On Windows, Ctrl-C interrupts the command, as it does everywhere else.
    """
    loop = asyncio.get_running_loop()
    stopped_s: float | None = None

    def interrupt() -> None:
        nonlocal stopped_s
        if stopped_s is None:
            stopped_s = loop.time()
            stop()
        elif loop.time() - stopped_s > _APART_S:
            _end_at_once()

    handlers = ((signal.SIGINT, interrupt), (signal.SIGTERM, stop))
    with suppress(NotImplementedError):
        for number, handler in handlers:
            loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number, _ in handlers:
                loop.remove_signal_handler(number)


def _end_at_once() -> None:
    """Leave in the middle of everything: what runs may not end, such as a thread that waits for a disk."""
    try:
        report_failure(EXIT_INTERRUPTED, f"interrupted. {interruption.words()}")
        sys.stdout.flush()
    finally:
        os._exit(EXIT_INTERRUPTED)
