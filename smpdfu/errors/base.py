"""The base of every exception of smpdfu."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TYPE_CHECKING = False  # of typing, which takes its time
if TYPE_CHECKING:
    from typing import Self

_NO_FACTS: Mapping[str, str] = MappingProxyType({})


class SmpdfuError(Exception):
    """Base of everything that a device, a file, a cable or a typing error can cause.

    ``code`` names the cause where one class has several, else it is empty. ``facts`` are the values that belong to it.
    A program can choose its own words for the next step by them, as ``cli/app/advice_by_code.py`` does.
    """

    code: str = ""
    facts: Mapping[str, str] = _NO_FACTS

    def because(self, code: str, **facts: str) -> Self:
        """Set ``code`` and ``facts``; return the error, to be raised."""
        self.code = code
        self.facts = facts
        return self
