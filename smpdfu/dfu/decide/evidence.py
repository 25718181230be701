"""Which loader a device may have, from what it shows and from what is said of it.

No SMP answer names the bootloader's release: the application that answers may be newer than it. So each clue excludes
some loaders, and what no clue excludes is possible. Pure; the loaders are the rows of ``smpdfu.loaders``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from smpdfu.image.nrf5340 import NET
from smpdfu.loaders.console import BootLog
from smpdfu.loaders.proof import Picture, handed_over
from smpdfu.loaders.releases import UPSTREAM, Partitions, releases_of
from smpdfu.loaders.rules import NORDIC, Build, Loader, titles
from smpdfu.smp.groups.os import BootloaderMode


class Source(StrEnum):
    """Where a clue comes from."""

    CONSOLE = "console"
    MODE = "bootloader info"
    BEHAVIOUR = "behaviour"
    PERSON = "given"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Clue:
    """One fact about the bootloader: ``text`` says it to people, ``loaders`` are those that it fits."""

    source: Source
    text: str
    loaders: frozenset[Loader]

    @property
    def names(self) -> list[str]:
        """The loaders' names, oldest first."""
        return names(self.loaders)

    def to_entry(self) -> dict[str, Any]:
        """For a journal."""
        return {"loader": self.names, "source": str(self.source), "text": self.text}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Clue | None:
        """As a journal has it; None where it has a loader or a source that is not known here."""
        found, text = entry.get("loader"), entry.get("text")
        try:
            loaders = frozenset(Loader.from_name(str(name)) for name in found) if isinstance(found, list) else None
            source = Source(str(entry.get("source")))
        except ValueError:
            return None
        return cls(source, text if isinstance(text, str) else "", loaders) if loaders else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The loaders that a device may have, and why. ``contradicts``: no loader fits all clues."""

    clues: tuple[Clue, ...] = ()

    @property
    def loaders(self) -> frozenset[Loader]:
        """Those that every clue fits; where the clues contradict each other, those that any clue fits."""
        common = _common(self.clues)
        return common or frozenset[Loader]().union(*(clue.loaders for clue in self.clues))

    @property
    def contradicts(self) -> bool:
        """True if no loader fits all clues."""
        return not _common(self.clues)

    @property
    def words(self) -> str:
        """The loaders in words; "" where nothing is excluded."""
        return "" if self.loaders == NORDIC else titles(self.loaders)

    def with_clues(self, clues: Iterable[Clue]) -> Evidence:
        """This evidence and more of it; a clue that is there already is not repeated."""
        return Evidence(tuple(dict.fromkeys((*self.clues, *clues))))

    def without(self, source: Source) -> Evidence:
        """This evidence less the clues from ``source``."""
        return Evidence(tuple(clue for clue in self.clues if clue.source is not source))


NO_EVIDENCE = Evidence()


def names(loaders: Iterable[Loader]) -> list[str]:
    """Their names, oldest first."""
    return [one.name for one in sorted(loaders, key=lambda one: (one.release.version, one.partitions))]


def _common(clues: Iterable[Clue]) -> frozenset[Loader]:
    found = NORDIC | {Loader(UPSTREAM)}
    told = False
    for clue in clues:
        found &= clue.loaders
        told = True
    return found if told else NORDIC


def given_clue(release: str | None, partitions: Partitions | None) -> tuple[Clue, ...]:
    """What a person says: ``--ncs 3.2``, ``--partitions dts``. Raises ValueError for a release that is not known."""
    if release is None and partitions is None:
        return ()
    if release is None:
        fitting = NORDIC
    else:
        fitting = frozenset(Loader(one, kind) for one in releases_of(release) for kind in one.partitions)
    if partitions is not None:
        fitting = frozenset(one for one in fitting if one.partitions is partitions)
    if not fitting:
        raise ValueError(f"NCS {release} has no builds with {partitions} partitions")
    said = " ".join(filter(None, ("" if release is None else f"NCS {release}", partitions)))
    return (Clue(Source.PERSON, said, fitting),)


def console_clue(log: BootLog) -> tuple[Clue, ...]:
    """What the bootloader's own lines on a console say of it."""
    if not log.tells_loader:
        return ()
    said = f"nRF Connect SDK v{log.sdk}" if log.sdk else f"MCUboot {log.commit}" if log.commit else ""
    return (Clue(Source.CONSOLE, said or titles(log.loaders), log.loaders),)


# Modes of a bootloader that only some loaders can be built for, with the words for them.
_SINCE = {BootloaderMode.SWAP_USING_OFFSET: ("it swaps by offset", lambda one: one.release.by_offset)}


def mode_clue(mode: BootloaderMode | None) -> tuple[Clue, ...]:
    """What the bootloader's mode, as the application tells it, says of the loader."""
    if mode not in _SINCE:
        return ()
    text, fits = _SINCE[mode]
    return (Clue(Source.MODE, text, frozenset(filter(fits, NORDIC))),)


_BEHAVES = {
    Picture.PENDING: "it keeps a network image pending after a reset",
    Picture.LISTED: "it removes the mark of a network image after a reset",
    Picture.GONE: "it erases a network image after it handed it over",
}


def behaviour_clue(builds: Iterable[Build], seen: Picture, taken: bool | None) -> tuple[Clue, ...]:
    """What a reset left of a network image says of the loader; ``taken`` is what became of it, where that is known.

    An image that is gone may have been erased without a hand-over, which every loader does. So it tells nothing unless
    a hand-over is known.
    """
    if seen is Picture.GONE and taken is None:
        return ()
    known = list(builds)
    fitting = frozenset(
        build.loader for build in known for outcome in handed_over(build, seen) if taken in (None, outcome)
    )
    if not fitting or fitting == {build.loader for build in known}:
        return ()
    return (Clue(Source.BEHAVIOUR, _BEHAVES[seen], fitting),)


def journal_clues(now: Iterable[Mapping[str, Any]], earlier: Iterable[Mapping[str, Any]]) -> tuple[Clue, ...]:
    """What a journal has noted of the loader: in the update that is under way, and in earlier ones.

    The address may lead to another board since an earlier update, so its clues are only the journal's.
    """
    current = [clue for entry in now if (clue := Clue.from_entry(entry)) is not None]
    old = [clue for entry in earlier if (clue := Clue.from_entry(entry)) is not None]
    return (*current, *(replace(clue, source=Source.JOURNAL, text=f"{clue.text} ({clue.source})") for clue in old))


def application_bounds(mode: BootloaderMode | None, *, has_slot_info: bool, longest_hash: int) -> tuple[str, ...]:
    """What SMP answers say of the application's release; its bootloader may be older.

    Sources: the history of Zephyr's SMP groups in the nRF Connect SDK.
    """
    told = (
        (mode is not None, "NCS 2.5 or later: it answers bootloader info"),
        (has_slot_info, "NCS 2.8 or later: it answers slot info"),
        (longest_hash > 32, "NCS 2.9 or later: it lists hashes longer than 32 bytes"),
    )
    return tuple(text for found, text in told if found)


_NET_FLASH = f"0x{NET.start:08x} to 0x{NET.end:08x}"


@dataclass(frozen=True, slots=True)
class Bootloader:
    """What a person says of the bootloader: ``ncs``, the release it is from, such as ``3.2``; the ``partitions`` of
    its build; ``net_address``, where the network core's application begins; ``active_b0_slot``, 0 or 1, from which of
    its two slots MCUboot runs where b0 (NSIB) starts it. None: not known.

    Raises ValueError for a release that is not known, an address outside the network core's flash, or another slot.
    """

    ncs: str | None = None
    partitions: Partitions | None = None
    net_address: int | None = None
    active_b0_slot: int | None = None

    def __post_init__(self) -> None:
        given_clue(self.ncs, self.partitions)
        if self.active_b0_slot not in (None, 0, 1):
            raise ValueError(f"{self.active_b0_slot} is not a slot of MCUboot: the slots are 0 and 1")
        if self.net_address is not None and self.net_address not in NET:
            raise ValueError(f"0x{self.net_address:x} is not in the network core's flash ({_NET_FLASH})")

    @property
    def clues(self) -> tuple[Clue, ...]:
        """What it says of the loader."""
        return given_clue(self.ncs, self.partitions)

    def net(self, past: Mapping[str, Any]) -> range | None:
        """The network application's part of flash: as given, else as an earlier update has noted it in ``past``."""
        noted = past.get("net_address")
        start = self.net_address if self.net_address is not None else noted
        return range(start, NET.end) if isinstance(start, int) and start in NET else None


UNKNOWN_BOOTLOADER = Bootloader()
