"""What is said about a package, or about a package on a device: one finding a fact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """ERROR: the update would fail or harm. WARNING: it may. NOTE: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. ``code`` is stable, ``message`` one sentence, ``advice`` what to do.

    ``image`` is the name of the image in the manifest; empty for the package as a whole. ``facts`` are the values by
    which a program can say how to follow the advice with its own commands, as ``cli/app/advice_by_code.py`` does.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""
    image: str = ""
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def words(self) -> str:
        """For people: what it is, and what to do."""
        return f"{self.message}. {self.advice}" if self.advice else self.message


def errors_of(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that refuse."""
    return tuple(one for one in found if one.severity is Severity.ERROR)
