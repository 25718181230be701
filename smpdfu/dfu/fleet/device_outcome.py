"""How the update of one device of a fleet ended. It stands apart: every reader of a log needs it, and no more."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How the update of one device ended. CURRENT: it had the package already."""

    DONE = "done"
    CURRENT = "current"
    UNPROVEN = "unproven"
    REVERTED = "reverted"
    REFUSED = "refused"
    INCOMPLETE = "incomplete"
    UNREACHABLE = "unreachable"
    FAILED = "failed"

    @property
    def good(self) -> bool:
        """True if the device has the package, as far as smpdfu can tell."""
        return self in (Outcome.DONE, Outcome.CURRENT, Outcome.UNPROVEN)

    @property
    def passing(self) -> bool:
        """True if the next run may succeed though nothing else changes."""
        return self in (Outcome.INCOMPLETE, Outcome.UNREACHABLE)
