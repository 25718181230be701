"""Which releases of the nRF Connect SDK bring which generation of the loader, and how a release is recognised.

Sources: the tags and branches of nrfconnect/sdk-mcuboot; the commits are those that MCUboot's boot banner prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Generation(StrEnum):
    """Loaders that treat a staged network image alike; the value says which ones, for people.

    UPSTREAM is MCUboot itself, which knows no network core; UPSTREAM_OLD the same up to its release 2.1.
    """

    UPSTREAM = "upstream MCUboot"
    UPSTREAM_OLD = "upstream MCUboot until 2.1"
    G1 = "NCS 2.2 to 2.7"
    G2 = "NCS 2.8 to 3.1"
    G3 = "NCS 3.2 and 3.3"
    G4 = "NCS 3.4.0"
    G5 = "NCS 3.4.1 and later"


class Partitions(StrEnum):
    """What divides the flash of a build: Nordic's Partition Manager, or the devicetree (since NCS 3.3)."""

    PM = "pm"
    DTS = "dts"


@dataclass(frozen=True, slots=True)
class Release:
    """A release, or a range of patch releases, whose loader is one.

    ``version`` is its first version as numbers; ``commits`` are beginnings of the commits of sdk-mcuboot that belong to
    it. ``by_offset``: it can be built for swap using offset. ``nsib_counts_network``: the network image's rollback
    counter is left to NSIB. ``reverts_past_any_magic``: a revert does not ask for an unset magic in the secondary slot
    (upstream since December 2024). ``clears_stuck_revert``: a swap using move that has nothing to revert to clears the
    primary slot's trailer (upstream since February 2025). ``swaps_network``: a build that swaps two images brings the
    network core's in; before, it stops at an assertion. ``offers_header_check``: it can be built to check the header's
    load address. ``skips_encrypted``: without decryption, an encrypted image counts as none in the modes that start
    either slot; before, it is an invalid one (``boot_check_header_valid``). ``has_firmware_loader``: it can be built in
    firmware loader mode. ``b0_of_2024``: NSIB's b0 puts a letter before the lines of its checks, and a key's token has
    the key's number in it (consoles of 2.9 show it, those of development versions before 2.7 do not). ``banner`` is the
    version of MCUboot that its first line on the console names, "" for one that prints no line of its own.
    """

    name: str
    version: tuple[int, int, int]
    generation: Generation
    commits: tuple[str, ...] = ()
    partitions: tuple[Partitions, ...] = (Partitions.PM,)
    by_offset: bool = False
    nsib_counts_network: bool = False
    reverts_past_any_magic: bool = False
    clears_stuck_revert: bool = False
    swaps_network: bool = False
    offers_header_check: bool = False
    skips_encrypted: bool = False
    has_firmware_loader: bool = False
    b0_of_2024: bool = False
    banner: str = ""

    @property
    def is_nordic(self) -> bool:
        """True for a release of the nRF Connect SDK."""
        return self.generation not in (Generation.UPSTREAM, Generation.UPSTREAM_OLD)

    @property
    def title(self) -> str:
        """``NCS 3.4.0``."""
        return f"NCS {self.name}" if self.is_nordic else self.generation.value


_PM, _BOTH = (Partitions.PM,), (Partitions.PM, Partitions.DTS)


def _before_3(name: str, version: tuple[int, int, int], generation: Generation, *commits: str) -> Release:
    banner = "2.1.0-dev" if version >= (2, 7, 0) else ""
    return Release(
        name,
        version,
        generation,
        commits,
        skips_encrypted=version >= (2, 8, 0),
        has_firmware_loader=version >= (2, 7, 0),
        b0_of_2024=version >= (2, 8, 0),
        banner=banner,
    )


def _since_3(name: str, version: tuple[int, int, int], generation: Generation, *commits: str) -> Release:
    partitions = _BOTH if version >= (3, 3, 0) else _PM
    return Release(
        name,
        version,
        generation,
        commits,
        partitions,
        by_offset=True,
        nsib_counts_network=True,
        reverts_past_any_magic=True,
        clears_stuck_revert=True,
        swaps_network=version >= (3, 3, 0),
        offers_header_check=version >= (3, 2, 0),
        skips_encrypted=True,
        has_firmware_loader=True,
        b0_of_2024=True,
        banner="2.3.0-dev" if version >= (3, 2, 0) else "2.1.0-dev",
    )


LATEST = _since_3("3.5", (3, 4, 99), Generation.G5, "e994ef4e2828")
UPSTREAM = Release(
    "upstream",
    (0, 0, 0),
    Generation.UPSTREAM,
    by_offset=True,
    reverts_past_any_magic=True,
    clears_stuck_revert=True,
    swaps_network=True,
    offers_header_check=True,
    skips_encrypted=True,
    has_firmware_loader=True,
    banner="2.4.0",
)
UPSTREAM_OLD = Release(
    "upstream-2.1", (0, 0, 0), Generation.UPSTREAM_OLD, swaps_network=True, has_firmware_loader=True, banner="2.1.0"
)

# Oldest first. NCS 2.2 to 2.4 were read, 2.5 and later were run. Commits: the tags and branches of sdk-mcuboot.
RELEASES: tuple[Release, ...] = (
    _before_3("2.2", (2, 2, 0), Generation.G1, "78fd7ff9f31d"),
    _before_3("2.3", (2, 3, 0), Generation.G1, "9c58609b3d35"),
    _before_3("2.4", (2, 4, 0), Generation.G1, "d5d451ec21d7"),
    _before_3("2.5", (2, 5, 0), Generation.G1, "289166425805", "edfe1e1465db"),
    _before_3("2.6", (2, 6, 0), Generation.G1, "3c2f2ff12bc2"),
    _before_3("2.7", (2, 7, 0), Generation.G1, "daf2946a0f07"),
    _before_3("2.8", (2, 8, 0), Generation.G2, "4594a8693738"),
    _before_3("2.9", (2, 9, 0), Generation.G2, "12e5ee106034"),
    _since_3("3.0", (3, 0, 0), Generation.G2, "ae1ee57f3906"),
    _since_3("3.1", (3, 1, 0), Generation.G2, "2b69d93e75bc", "9b4ae4cbc9e2"),
    _since_3(
        "3.2",
        (3, 2, 0),
        Generation.G3,
        "0d9411f5dda3",
        "d8d6d6aead99",
        "252d7bbd7909",
        "d537e5b5d244",
        "cac2b4255f65",
    ),
    _since_3("3.3", (3, 3, 0), Generation.G3, "fce4dac2e629", "3de5b4df5f9f"),
    _since_3("3.4.0", (3, 4, 0), Generation.G4, "c1d2d128a001"),
    _since_3("3.4.1", (3, 4, 1), Generation.G5, "579b35f8c5d5"),
    LATEST,
)
NEWEST_KNOWN = (3, 5)
NAMES = (*(release.name for release in RELEASES), "latest", UPSTREAM.name, UPSTREAM_OLD.name)
"""What ``releases_of`` takes, each of them one release."""

_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:[-+.][\w.+-]*)?")


def releases_of(text: str) -> tuple[Release, ...]:
    """The releases that ``text`` may mean: ``3.4`` means 3.4.0 or 3.4.1; ``latest`` and ``upstream`` are names.

    Raises ValueError with the known ones for a text that is no version, and for a version that is not known here.
    """
    if text == "latest":
        return (LATEST,)
    if text in (UPSTREAM.name, UPSTREAM_OLD.name):
        return (UPSTREAM if text == UPSTREAM.name else UPSTREAM_OLD,)
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no release of the nRF Connect SDK: give one such as 2.9 or 3.4.1, or latest")
    major, minor, patch = (None if part is None else int(part) for part in found.groups())
    assert major is not None
    assert minor is not None
    if (major, minor) == NEWEST_KNOWN:
        return (LATEST,)
    same = tuple(one for one in RELEASES if one.version[:2] == (major, minor) and one is not LATEST)
    # A development version such as 3.4.99 lies behind the branch: it has the loader of the next release.
    if patch == 99 and same:
        return (RELEASES[RELEASES.index(same[-1]) + 1],)
    if patch is not None:
        same = tuple(one for one in same if one.version[2] <= patch)[-1:]
    if not same:
        first, last = RELEASES[0].name, LATEST.name
        raise ValueError(f"NCS {major}.{minor} is not known here: smpdfu knows the loaders of NCS {first} to {last}")
    return same


def release_of_commit(commit: str) -> Release | None:
    """The release whose loader was built from this commit of sdk-mcuboot; None for one that is not listed."""
    return next((one for one in RELEASES if any(_is_same(commit, known) for known in one.commits)), None)


def _is_same(commit: str, known: str) -> bool:
    return len(commit) >= 7 and (commit.startswith(known) or known.startswith(commit))
