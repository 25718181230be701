"""The sentence that ``main`` prints after Ctrl-C: the part of a command that runs says what is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

AGAIN = "Run the same command again."
CONTINUE = "Run the same command again to continue."
PART_OF_SLOT = f"The running firmware is unchanged. The slot holds part of the new image. {CONTINUE}"
PART_OF_APPLICATION = f"The application is written in part and does not start. {CONTINUE}"
PART_OF_FILE = f"The file on the device is written in part. {CONTINUE}"
PART_OF_DOWNLOAD = f"smpdfu keeps the received part beside the file. {CONTINUE}"
MAY_HAVE_RESTARTED = "The device may have restarted: see `smpdfu list`. Another reset would end a trial."
MAY_HAVE_RUN = "The device may have carried out the command."
BETWEEN_STEPS = f"The device keeps what the finished steps have done. {CONTINUE}"

_words = [AGAIN]


def words() -> str:
    """What the command that was interrupted left, and what to do."""
    return _words[-1]


def now_leaves(text: str) -> None:
    """From now on, Ctrl-C leaves what ``text`` says."""
    _words[-1] = text


@contextmanager
def leaves(text: str) -> Iterator[None]:
    """Within, Ctrl-C leaves what ``text`` says. An interruption is no ``Exception``: behind it, the words stay."""
    _words.append(text)
    try:
        yield
    except Exception:
        _words.pop()
        raise
    _words.pop()
