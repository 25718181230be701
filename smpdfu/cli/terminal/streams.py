"""Standard streams that the caller closed."""

from __future__ import annotations

import os
import sys


def replace_closed_streams() -> None:
    """Replace closed standard streams (``<&-``, ``>&-``) by the null device."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it lives as long as we do
