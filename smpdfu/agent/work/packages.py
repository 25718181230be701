"""Packages of files that the cache holds: read and checked once, and the last ones kept in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path

from smpdfu.dfu.decide.checks.demands import check_seals, check_trust
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys

_KEPT = 4  # a rollout has one for each hardware; each takes its size in memory


class Packages:
    """``trust``: the keys of which one must have signed each image; ``nsib``: those that b0 and b0n trust."""

    def __init__(self, trust: tuple[Verifier, ...] = (), nsib: NsibKeys = NO_NSIB_KEYS) -> None:
        self.trust = trust
        self.nsib = nsib
        self._known: OrderedDict[str, Package] = OrderedDict()
        self._one = asyncio.Lock()

    async def load(self, path: Path) -> Package:
        """Read a file whose hash was checked and whose name is its SHA-256, and check its images.

        Raises PackageError, PlanError for an image that none of the keys has signed or sealed, or OSError.
        """
        sha256 = path.name
        async with self._one:
            if sha256 not in self._known:
                self._known[sha256] = await asyncio.to_thread(self._read, path)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(sha256)
            return self._known[sha256]

    def _read(self, path: Path) -> Package:
        package = Package.load(path)
        check_trust(package.images, self.trust)
        check_seals(package.images, self.nsib)
        return package
