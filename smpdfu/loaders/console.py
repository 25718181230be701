"""Read from the boot lines of MCUboot on a console what happened, and which loader it is.

Only the lines between the bootloader's first line and its jump into the application count, because an application may
print the same words. The rules:

    a boot begins   at MCUboot's banner, or at "Starting bootloader" where no banner stands before it
    it ends         at MCUboot's line about its jump, at the application's banner, or where the next boot begins
    it is whole     if MCUboot said that it jumps: it prints this at the level at which it prints "Done updating ..."
    it tells        that the network core took an image, or did not: if it is whole; that it did not: also where
                    MCUboot has not jumped, which a refused image of two pairs never lets it do
    several boots   tell what all whole ones among them tell: an application can print all of a boot's lines, and which
                    of them MCUboot itself wrote nobody knows

Sources: log messages of nrfconnect/sdk-mcuboot (``loader.c``, ``boot/zephyr/main.c``) and of ``subsys/pcd`` of
nrfconnect/sdk-nrf; the banner is printed from NCS 2.7 on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from smpdfu.loaders.b0_console import NO_B0, B0Boot, read_b0
from smpdfu.loaders.boot_lines import MAX_TEXT, START, begins_boot, plain
from smpdfu.loaders.releases import Generation, release_of_commit, releases_of
from smpdfu.loaders.rules import NORDIC, Loader

_JUMP = re.compile(r"(?<!\w)Jumping to the (?:first )?image slot$")
_APPLICATION = re.compile(r"\*\*\* Booting (?!MCUboot )")
_BANNER_LINE = re.compile(r"\*\*\* (?:Booting MCUboot|Using) .*\*\*\*$")
_COMMIT = re.compile(r"\*\*\* Booting MCUboot v\S*?([0-9a-f]{7,40})(?:\s|$)")
_SDK = re.compile(r"\*\*\* Using nRF Connect SDK v(\d{1,3}\.\d{1,3}\.\d{1,3}\S*)")
_TAKEN = re.compile(r"(?<!\w)Done updating network core$")
_REFUSED = re.compile(r"(?<!\w)Network core update failed")

# Lines that only some generations print.
_TELLING = (
    (re.compile(r"is destined for the network core"), frozenset({Generation.G5})),
    (
        re.compile(r"is not designated for the primary slot"),
        frozenset({Generation.G3, Generation.G4, Generation.G5}),
    ),
    (
        re.compile(r"Reset address of image in secondary slot is not in the primary slot"),
        frozenset({Generation.G1, Generation.G2}),
    ),
)


@dataclass(frozen=True, slots=True)
class BootLog:
    """The bootloader's lines of one boot.

    ``network_taken``: whether the network core took an image in this boot; None where no line says so. ``commit`` and
    ``sdk`` are what the banner says, "" where there is none; ``loaders`` those that print such lines. ``b0`` is what
    the immutable bootloader below MCUboot printed in the last boot.
    """

    lines: tuple[str, ...] = ()
    network_taken: bool | None = None
    commit: str = ""
    sdk: str = ""
    loaders: frozenset[Loader] = NORDIC
    b0: B0Boot = NO_B0

    @property
    def tells_loader(self) -> bool:
        """True if it excludes any loader."""
        return self.loaders != NORDIC


@dataclass(slots=True)
class _Boot:
    """The lines of a boot; ``jumped``: MCUboot said that it starts the application, ``open``: nothing ended it."""

    lines: list[str] = field(default_factory=list)
    jumped: bool = False
    open: bool = True

    @property
    def begins(self) -> bool:
        """True while only the banner was printed: "Starting bootloader" behind it belongs to the same boot."""
        return self.open and all(_BANNER_LINE.search(line) or not line for line in self.lines)

    @property
    def network_taken(self) -> bool | None:
        """What it tells of the network core; see the rules above."""
        refused = any(_REFUSED.search(line) for line in self.lines)
        if self.jumped:
            taken = any(_TAKEN.search(line) for line in self.lines)
            return None if refused is taken else taken
        told_start = any(START.search(line) for line in self.lines)
        return False if self.open and told_start and refused else None


def read_boot(text: str) -> BootLog:
    """What the console text from a reset on tells. ``lines`` are those of the last boot in it.

    The text is bounded to its last 64 KiB; lines are as they came, without colour codes.
    """
    said = plain(text[-MAX_TEXT:])
    boots, b0 = _boots(said), read_b0(said)
    if not boots:
        return BootLog(b0=b0)
    last = boots[-1]
    whole = [boot for boot in boots if boot.jumped] or [last]
    said = "\n".join(last.lines)
    commit, sdk = _first(_COMMIT, said), _first(_SDK, said)
    taken = {boot.network_taken for boot in whole}
    loaders = frozenset[Loader]().union(*(_loaders(boot.lines) for boot in whole))
    return BootLog(tuple(last.lines), next(iter(taken)) if len(taken) == 1 else None, commit, sdk, loaders, b0)


def _boots(text: str) -> list[_Boot]:
    found: list[_Boot] = []
    now: _Boot | None = None
    for line in (line.strip() for line in text.split("\n")):
        if begins_boot(line):
            if now is None or not (now.begins and START.search(line)):
                if now is not None:
                    now.open = False
                now = _Boot()
                found.append(now)
        elif now is not None and (_JUMP.search(line) or _APPLICATION.search(line)):
            now.jumped = bool(_JUMP.search(line))
            now.open = False
            now = None
        if now is not None:
            now.lines.append(line)
    return found


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return "" if found is None else found[1]


def _loaders(lines: list[str]) -> frozenset[Loader]:
    text = "\n".join(lines)
    commit, sdk = _first(_COMMIT, text), _first(_SDK, text)
    found = NORDIC
    if commit and (release := release_of_commit(commit)) is not None:
        found &= {one for one in NORDIC if one.release is release}
    if sdk:
        try:
            releases = releases_of(sdk)
        except ValueError:  # newer than this table: anything is possible
            return NORDIC
        found = (found & {one for one in NORDIC if one.release in releases}) or found
    for pattern, generations in _TELLING:
        if pattern.search(text):
            found = frozenset(one for one in found if one.release.generation in generations) or found
    return found
