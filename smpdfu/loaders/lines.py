"""The console lines in which the generations of loaders differ, as they write them; ``console`` reads them.

Source: ``loader.c`` and ``boot/zephyr/kernel/banner.c`` of nrfconnect/sdk-mcuboot at the commits of ``releases``.
"""

from __future__ import annotations

from smpdfu.loaders.releases import Generation
from smpdfu.loaders.rules import Loader

_BY_RESET_ADDRESS = (Generation.G1, Generation.G2)
_INSUFFICIENT = "version in secondary slot"


def banner(loader: Loader) -> tuple[str, ...]:
    """What MCUboot prints before anything else; nothing before NCS 2.7."""
    release = loader.release
    if not release.banner:
        return ()
    commit = f"-{release.commits[0]}" if release.commits else ""
    sdk = ".".join(map(str, release.version))
    uses = (f"*** Using nRF Connect SDK v{sdk} ***",) if release.is_nordic else ()
    return (f"*** Booting MCUboot v{release.banner}{commit} ***", *uses)


def wrong_place(loader: Loader, image: int) -> str:
    """The address check erases the image in the secondary slot of image number ``image``."""
    if loader.release.generation in _BY_RESET_ADDRESS:
        return "E: Reset address of image in secondary slot is not in the primary slot"
    return f"E: Binary in secondary slot of image {image} is not designated for the primary slot"


def for_network(image: int) -> str:
    """The address check lets a network image through; only loaders that have it in their rule do."""
    return f"I: Binary in secondary slot of image {image} is destined for the network core"


def insufficient_version(loader: Loader) -> str:
    """Downgrade prevention erases the image."""
    word = "Insufficient" if loader.release.generation in (Generation.G5, Generation.UPSTREAM) else "insufficient"
    return f"E: {word} {_INSUFFICIENT}"
