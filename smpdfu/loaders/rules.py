"""What a loader does with an image: one row per generation and kind of partitions, and the rules that read the rows.

Pure: numbers and addresses go in. ``virtual/`` asks with what lies in flash, ``dfu/`` with what is known of a file.

==================== ============== ============== ============== ==================== ====================
staged network image G1             G2, G3         G4, G5 with PM G4 with DTS          G5 with DTS
==================== ============== ============== ============== ==================== ====================
recognised by        vector above   vector in the  vector in the  header's load        header's load
                     0x01000000     network slot   network slot   address              address
address check        none           none           none           erases every network lets network images
                                                                  image                through
MCUboot behind NSIB  swapped or     copied over the slot that does not run; an image for the slot that runs is
                     overwritten as erased at once
                     any image
==================== ============== ============== ============== ==================== ====================

The columns with DTS are builds that check the header's load address, as those do by default; a build with Partition
Manager that is told to check it is like them.

Sources: nrfconnect/sdk-mcuboot, ``boot/bootutil/src/loader.c`` (``boot_validated_swap_type``, ``boot_validate_slot``)
and ``bootutil_loader.c`` (``boot_check_header_valid``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from smpdfu.loaders.releases import LATEST, RELEASES, UPSTREAM, UPSTREAM_OLD, Generation, Partitions, Release

NET_FLASH_START = 0x0100_0000


class Recognition(StrEnum):
    """By what a network image in the application's secondary slot is told from an application."""

    NEVER = "never"
    VECTOR_ABOVE_NET_START = "its reset vector is above 0x01000000"
    VECTOR_IN_NET_SLOT = "its reset vector is in the network core's slot"
    HEADER_ADDRESS = "the load address in its header, or its reset vector, is in the network core's slot"


class Target(StrEnum):
    """Whom an image is for, by the class UUID that it names, in a build that goes by those (MCUBOOT_UUID_CID)."""

    UNNAMED = "unnamed"
    UNKNOWN = "unknown"
    APPLICATION = "application"
    NETWORK = "network"


class Left(StrEnum):
    """What a hand-over to the network core leaves of the image in the secondary slot."""

    ALL = "all: it stays pending"
    NO_TRAILER = "the image without its trailer: not pending"
    NO_HEADER = "neither header nor trailer: not listed"


class SelfUpdate(StrEnum):
    """How a loader that is the second stage, behind NSIB's b0, brings a new MCUboot into the slot that does not run.

    MCUboot is one image more, whose secondary slot is the application's. SWAPS: it is treated as any image, by the
    mode; what is linked for no primary slot stays in the secondary slot. COPIES: builds that swap erase the other slot,
    copy, erase the secondary slot and restart; an image for the slot that runs is erased at once.
    """

    NEVER = "never"
    SWAPS = "swaps as any image"
    COPIES = "copies and restarts"


@dataclass(frozen=True, slots=True)
class HandOver:
    """What is left in the slot when the network core took its image, and when it refused it."""

    taken: Left
    refused: Left


@dataclass(frozen=True, slots=True)
class Rule:
    """One generation with one kind of partitions; see the table above.

    ``recognition`` by HEADER_ADDRESS goes by the header where that is checked, else by the reset vector.
    ``checks_header``: builds check the load address in the header unless they are told not to. ``spares_network``: that
    check lets network images through. ``swapping`` and ``overwriting`` are what a hand-over leaves. ``compares_net``:
    builds that read the network core's version (PCD_READ_NETCORE_APP_VERSION) do not hand over an older image.
    ``skips_one``: of two images, only the one with an unmet dependency is skipped. ``application_by_uuid``: builds with
    UUIDs (MCUBOOT_UUID_CID) update an application at all; None before there were such builds. ``network_beside_xip``:
    builds with a split QSPI XIP image still look for network images. ``unchecked_halves`` are the image numbers under
    which the address check leaves out a QSPI XIP half, which has no reset vector. ``self_update`` is for builds with
    NSIB.
    """

    recognition: Recognition
    swapping: HandOver
    overwriting: HandOver
    checks_header: bool = False
    spares_network: bool = False
    compares_net: bool = False
    skips_one: bool = True
    application_by_uuid: bool | None = None
    network_beside_xip: bool = True
    unchecked_halves: frozenset[int] = frozenset((1, 2))
    self_update: SelfUpdate = SelfUpdate.COPIES


_KEEPS = HandOver(Left.ALL, Left.ALL)
_UNMARKS_TAKEN = HandOver(Left.NO_TRAILER, Left.ALL)
_UNMARKS_BOTH = HandOver(Left.NO_TRAILER, Left.NO_TRAILER)
_FORGETS_BOTH = HandOver(Left.NO_HEADER, Left.NO_HEADER)

_G1 = Rule(
    Recognition.VECTOR_ABOVE_NET_START,
    _UNMARKS_TAKEN,
    _KEEPS,
    unchecked_halves=frozenset((2,)),
    self_update=SelfUpdate.SWAPS,
)
_G2 = Rule(Recognition.VECTOR_IN_NET_SLOT, _UNMARKS_TAKEN, _KEEPS)
_G4 = Rule(Recognition.HEADER_ADDRESS, _UNMARKS_TAKEN, _KEEPS, application_by_uuid=False)
_G5 = Rule(
    Recognition.HEADER_ADDRESS,
    _UNMARKS_BOTH,
    _FORGETS_BOTH,
    spares_network=True,
    compares_net=True,
    application_by_uuid=True,
    network_beside_xip=False,
)
_G4_DTS, _G5_DTS = (replace(rule, checks_header=True) for rule in (_G4, _G5))
_UPSTREAM = Rule(
    Recognition.NEVER,
    _KEEPS,
    _KEEPS,
    skips_one=False,
    unchecked_halves=frozenset(),
    self_update=SelfUpdate.NEVER,
)

RULES: Mapping[tuple[Generation, Partitions], Rule] = {
    (Generation.UPSTREAM, Partitions.PM): _UPSTREAM,
    (Generation.UPSTREAM_OLD, Partitions.PM): _UPSTREAM,
    (Generation.G1, Partitions.PM): _G1,
    (Generation.G2, Partitions.PM): _G2,
    (Generation.G3, Partitions.PM): _G2,
    (Generation.G3, Partitions.DTS): _G2,
    (Generation.G4, Partitions.PM): _G4,
    (Generation.G4, Partitions.DTS): _G4_DTS,
    (Generation.G5, Partitions.PM): _G5,
    (Generation.G5, Partitions.DTS): _G5_DTS,
}


@dataclass(frozen=True, slots=True)
class Loader:
    """The loader of a release, built for one kind of partitions. ValueError where there was no such build."""

    release: Release = LATEST
    partitions: Partitions = Partitions.PM

    def __post_init__(self) -> None:
        if self.partitions not in self.release.partitions:
            raise ValueError(f"{self.release.title} lays out its flash by the Partition Manager only")

    @property
    def rule(self) -> Rule:
        """What it does."""
        return RULES[self.release.generation, self.partitions]

    @property
    def name(self) -> str:
        """``3.4.0/dts``: for JSON and journals."""
        return f"{self.release.name}/{self.partitions}"

    @classmethod
    def from_name(cls, name: str) -> Loader:
        """Read what ``name`` wrote. Raises ValueError."""
        release, _, partitions = name.partition("/")
        known = next((one for one in (*RELEASES, UPSTREAM, UPSTREAM_OLD) if one.name == release), None)
        if known is None:
            raise ValueError(f"{name!r} is no loader")
        return cls(known, Partitions(partitions))


NORDIC: frozenset[Loader] = frozenset(Loader(one, kind) for one in RELEASES for kind in one.partitions)
"""Every loader that an nRF5340 in the field may have, as far as is known here."""


def titles(loaders: Iterable[Loader]) -> str:
    """The generations among them, for people: ``NCS 2.2 to 2.7, NCS 3.4.0 (devicetree partitions)``."""
    found = list(loaders)
    words = []
    for generation in Generation:
        kinds = {one.partitions for one in found if one.release.generation is generation}
        if not kinds:
            continue
        apart = len({RULES[generation, kind] for kind in Partitions if (generation, kind) in RULES}) > 1
        word = generation.value
        if apart and len(kinds) == 1:
            word += " (devicetree partitions)" if Partitions.DTS in kinds else " (Partition Manager)"
        words.append(word)
    return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Build:
    """A loader and how it was configured.

    ``overwrites``: without swap; ``by_offset``: swap using offset. ``staged``: one image pair, through which network
    images pass. ``encrypts``: with encryption. ``checks_header`` (MCUBOOT_CHECK_HEADER_LOAD_ADDRESS) goes before
    ``checks_vector`` (MCUBOOT_VERIFY_IMG_ADDRESS). ``reads_net_version``: PCD_READ_NETCORE_APP_VERSION. ``xip_split``:
    the application has a second half in QSPI flash. ``by_uuid``: images name whom they are for (MCUBOOT_UUID_CID).
    """

    loader: Loader = Loader()
    overwrites: bool = False
    by_offset: bool = False
    staged: bool = True
    encrypts: bool = False
    prevents_downgrade: bool = False
    checks_header: bool = False
    checks_vector: bool = False
    reads_net_version: bool = False
    xip_split: bool = False
    by_uuid: bool = False

    @property
    def rule(self) -> Rule:
        """What its loader does."""
        return self.loader.rule

    @property
    def handover(self) -> HandOver:
        """What a hand-over leaves in the slot."""
        return self.rule.overwriting if self.overwrites else self.rule.swapping

    @property
    def compares_addresses(self) -> bool:
        """An image whose code is not for its slot is erased."""
        return self.checks_header or (self.checks_vector and not self.encrypts)

    @property
    def looks_for_network(self) -> bool:
        """A network image in the application's secondary slot is looked for."""
        by = self.rule.recognition
        return self.staged and by is not Recognition.NEVER and (self.rule.network_beside_xip or not self.xip_split)

    @property
    def goes_by_class(self) -> bool:
        """Only the class UUID says which core the image in the application's secondary slot is for."""
        return self.by_uuid and self.looks_for_network

    def is_for_network(self, vector: int | None, address: int, net: range) -> bool:
        """Is the image in the application's secondary slot taken for one of the network core?

        ``vector`` is the word that lies where the loader looks for the reset vector (ciphertext in an encrypted image;
        None where it reads none), ``address`` the load address in the header, 0 if none, ``net`` the network
        application's part of flash.
        """
        if not self.looks_for_network:
            return False
        match self.rule.recognition:
            case Recognition.HEADER_ADDRESS if self.checks_header:
                return address in net
            case Recognition.VECTOR_ABOVE_NET_START:
                return vector is not None and vector > NET_FLASH_START
            case _:
                return vector is not None and vector in net

    def is_handed_over(self, vector: int | None, net: range) -> bool:
        """Does the hook that brings in the network core's own image pair give this image to b0n?

        ``vector`` is the reset vector in the RAM that the image was copied to, None where there is no header;
        ``net`` the network application's part of flash. Otherwise MCUboot stops.
        """
        first = NET_FLASH_START if self.loader.partitions is Partitions.PM else net.start
        return vector is not None and vector > first

    @property
    def compares_network(self) -> bool:
        """A network image whose version b0n counts as lower, or cannot read, is not taken."""
        reads = self.prevents_downgrade and self.reads_net_version
        return reads and (self.rule.compares_net if self.staged else self.overwrites)

    def is_kept(self, vector: int | None, address: int, home: range, net: range) -> bool:
        """Does the address check leave the image in its secondary slot? If not, it is erased.

        ``home`` is where the image's code belongs: its primary slot, or the network application's part of flash for an
        image pair of the network core. See ``is_for_network`` for the rest.
        """
        if not self.compares_addresses:
            return True
        place = address if self.checks_header else vector
        if place is None or place in home:
            return place is not None
        return self.staged and self.rule.spares_network and place in net


def usual_build(
    loader: Loader,
    *,
    overwrites: bool = False,
    by_offset: bool = False,
    staged: bool = True,
    encrypts: bool = False,
    prevents_downgrade: bool = False,
    reads_net_version: bool = False,
    xip_split: bool = False,
    by_uuid: bool = False,
    second_stage: bool = False,
) -> Build:
    """The build that the SDK makes by default.

    The header is checked in staged builds of NCS 3.4 and later without the Partition Manager and without UUIDs, from
    3.4.1 on not beside a split QSPI XIP image; the reset vector where two images are overwritten and nothing is
    encrypted (Kconfig of sdk-mcuboot: MCUBOOT_CHECK_HEADER_LOAD_ADDRESS, MCUBOOT_VERIFY_IMG_ADDRESS).
    """
    rule = loader.rule
    return Build(
        loader,
        overwrites,
        by_offset,
        staged,
        encrypts,
        prevents_downgrade,
        checks_header=staged and rule.checks_header and not by_uuid and (rule.network_beside_xip or not xip_split),
        checks_vector=(not staged or second_stage) and overwrites and not encrypts,
        reads_net_version=reads_net_version,
        xip_split=xip_split,
        by_uuid=by_uuid,
    )
