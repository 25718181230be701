"""Standard streams as the caller left them: closed, or with an encoding that lacks characters."""

from __future__ import annotations

import io
import os
import sys

STDOUT = "stdout"
"""Stands for a file name in an OSError about stdout."""


class StdoutGone(BaseException):
    """The program that read stdout has ended. This is not an error: nobody would see a message."""


def failed_stdout(error: OSError) -> BaseException:
    """Return what to raise when stdout takes nothing more."""
    return StdoutGone() if isinstance(error, BrokenPipeError) else OSError(error.errno, error.strerror, STDOUT)


def replace_closed_streams() -> None:
    """Replace closed standard streams (``<&-``, ``>&-``) by the null device."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it lives as long as we do


def escape_on_stdout() -> None:
    """Print ``\\xfc`` for a character that stdout's encoding lacks (ASCII, a code page of Windows), as stderr does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
