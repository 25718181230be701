"""Named parts of the memories, by absolute addresses: one of them, and those of NSIB on the application core."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """``size_bytes`` bytes from the absolute address ``start``."""

    name: str
    start: int
    size_bytes: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.size_bytes <= 0:
            raise ValueError(f"region {self.name} is empty or starts below 0")

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.start + self.size_bytes

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end

    def holds(self, other: Region) -> bool:
        """True if ``other`` lies in this region as a whole."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class NsibLayout:
    """NSIB on the application core: b0, its provisioned data, and both slots of the second stage, which is MCUboot.

    MCUboot's header is at the start of a slot. ``slots`` are S0 and S1.
    """

    b0: Region
    provision: Region
    s0: Region
    s1: Region

    @property
    def slots(self) -> tuple[Region, Region]:
        """S0 and S1."""
        return self.s0, self.s1
