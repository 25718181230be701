"""What loaders do with an image, and what would tell them apart, in words; see ``loaders``."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from smpdfu.image.nrf5340 import NET
from smpdfu.loaders.fate import Fate
from smpdfu.loaders.rules import Build, titles

ASK = {
    "release": "If you know the bootloader's release, give it.",
    "partitions": "If you know how the bootloader's flash is laid out (Partition Manager or devicetree), give that.",
}
"""What would decide between loaders, by what is not known: the fact ``unknown`` of a finding."""

_VERBS = {
    Fate.INSTALLED: "puts it into the application's slot, where it does not run",
    Fate.HANDED_OVER: "hands it to the network core",
    Fate.REFUSED: "hands it to the network core, which refuses it",
    Fate.ERASED: "erases it",
    Fate.LEFT: "leaves it in the slot and never installs it",
}


def what_happens(found: Mapping[Build, Fate]) -> str:
    """The fates of an image in words, by loader where they differ."""
    kinds = set(found.values())
    return f"the bootloader {_verb(found, kinds.pop())}" if len(kinds) == 1 else who_does_what(found)


def who_does_what(found: Mapping[Build, Fate]) -> str:
    """The same by loader in any case. Of more than two fates the worst has its loaders named."""
    kinds = sorted(set(found.values()), key=list(Fate).index)
    named = kinds if len(kinds) < 3 else kinds[:1]
    said = [f"the bootloader of {loader_titles(_with(found, kind))} {_verb(found, kind)}" for kind in named]
    if others := kinds[len(named) :]:
        said.append(f"any other {' or '.join(_verb(found, kind) for kind in others)}")
    return "; ".join(said)


def _with(found: Mapping[Build, Fate], kind: Fate) -> list[Build]:
    return [build for build, one in found.items() if one is kind]


def _verb(found: Mapping[Build, Fate], kind: Fate) -> str:
    overwrites = all(build.overwrites for build in _with(found, kind))
    lost = ", and only a debugger brings the device back" if kind is Fate.INSTALLED and overwrites else ""
    return _VERBS[kind] + lost


def hexadecimal(address: int) -> str:
    return f"0x{address:08x}" if address in NET else f"0x{address:x}"


def loader_titles(builds: Collection[Build]) -> str:
    return titles({build.loader for build in builds})


def unknown(builds: Collection[Build]) -> str:
    """What would decide between these loaders: a key of ``ASK``."""
    return "partitions" if len({build.loader.release.generation for build in builds}) == 1 else "release"
