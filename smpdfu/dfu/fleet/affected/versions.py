"""The versions of a component that are asked for: one version, or bounds. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"v?([0-9]{1,18}(?:\.[0-9]{1,18}){0,7})([-+~].*)?", re.DOTALL)
"""What else begins with a digit may be a commit, or have letters that count (``1.0.2k``): it is not compared."""
_DIGIT = re.compile(r"[vV]?[0-9]")
_BOUND = re.compile(r"(<=|>=|<|>|=)\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Bound:
    """A sign (``<``, ``<=``, ``>``, ``>=``, ``=``) and a version."""

    sign: str
    version: str

    def holds(self, version: str) -> bool | None:
        """Return whether a version is within the bound; None if the two cannot be compared."""
        if self.sign == "=":
            return _equal(version, self.version)
        order = compare(version, self.version)
        if order is None:
            return None
        return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[self.sign]


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Bounds that must all hold; without any, every version is in the range."""

    bounds: tuple[Bound, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> VersionRange:
        """Read ``3.6.1``, ``<3.6.2`` or ``>=3.0,<3.6.2``. Raises ValueError."""
        bounds = []
        for part in text.split(","):
            sign = _BOUND.fullmatch(part.strip())
            version = sign[2] if sign else part.strip()
            if not version or version[0] in "<>=" or (sign and sign[1] != "=" and _NUMBER.fullmatch(version) is None):
                raise ValueError(f"{text!r} is no version and no range such as <3.6.2 or >=3.0,<3.6.2")
            bounds.append(Bound(sign[1] if sign else "=", version))
        return cls(tuple(bounds))

    @property
    def has_name(self) -> bool:
        """Whether one of the versions begins with no number: it may be the name of a branch, or nothing."""
        return any(bound.sign == "=" and _DIGIT.match(bound.version) is None for bound in self.bounds)

    def holds(self, version: str) -> bool | None:
        """Return whether a version is in the range; None if that cannot be told ("" is no version)."""
        if not self.bounds:
            return True
        found = [bound.holds(version) if version else None for bound in self.bounds]
        if False in found:
            return False
        return None if None in found else True


def compare(one: str, other: str) -> int | None:
    """Compare two versions of numbers with dots: below, equal or above 0. None if that cannot be told.

    ``v`` before the numbers and ``+...`` behind them do not count. Two versions with the same numbers cannot be
    compared if more text follows: ``3.6.2-rc1`` is before ``3.6.2``, and a vendor's ``3.6.2-ncs1`` behind it.
    """
    found, against = _NUMBER.fullmatch(one.strip()), _NUMBER.fullmatch(other.strip())
    if found is None or against is None:
        return None
    left, right = _numbers(found[1]), _numbers(against[1])
    if left != right:
        return -1 if left < right else 1
    rest, other_rest = ((text or "").partition("+")[0] for text in (found[2], against[2]))
    return 0 if rest == other_rest else None


def _numbers(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _equal(one: str, other: str) -> bool | None:
    """Texts that are no numbers are compared as they are: the name of a branch, a commit."""
    if one.strip().lower() == other.strip().lower():
        return True
    order = compare(one, other)  # the same numbers with another text behind them may be a vendor's 3.6.1-ncs1
    return None if order is None else order == 0
