"""The files of a build folder: each is read up to a bound, and the folders in it are listed up to a number.

Names come from this program or from lists of names; a name that leads out of the folder is never made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from smpdfu.dfu.build_folder.formats import devicetree, kconfig
from smpdfu.dfu.build_folder.formats.devicetree import DeviceTree
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.errors import FormatError, PackageError
from smpdfu.untrusted.files import read_start

MAX_FOLDERS = 64
"""Images of a build; the largest of real builds have ten."""
_MAX_ENTRIES = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """A folder, and what is in it by names such as ``mcuboot/zephyr/.config``."""

    root: Path

    def has(self, name: str) -> bool:
        """True if this is a file."""
        return _is_kind(self.root / name, stat.S_ISREG)

    def first(self, *names: str) -> str | None:
        """The first of these that is a file."""
        return next((name for name in names if self.has(name)), None)

    def read(self, name: str, limit: int, parse: Callable[[bytes], T]) -> T | None:
        """What ``parse`` makes of a file; None where there is no such file.

        Raises PackageError for a file of more than ``limit`` bytes, or that ``parse`` cannot read; OSError.
        """
        if not self.has(name):
            return None
        data = read_start(self.root / name, limit + 1)
        if len(data) > limit:
            raise self._unreadable(name, f"it has more than {limit >> 10} KiB")
        try:
            return parse(data)
        except FormatError as error:
            raise self._unreadable(name, str(error)) from None

    def _unreadable(self, name: str, why: str) -> PackageError:
        return PackageError(f"{self.root / name} cannot be read: {why}").because("build-file", file=name)

    def config(self, name: str) -> Kconfig | None:
        """A ``.config`` or ``pm.config``. Raises as ``read`` does."""
        return self.read(name, kconfig.MAX_BYTES, lambda data: kconfig.parse(data, name))

    def devicetree(self, name: str) -> DeviceTree | None:
        """A ``zephyr.dts``. Raises as ``read`` does."""
        return self.read(name, devicetree.MAX_BYTES, lambda data: devicetree.parse(data, name))

    def files(self, below: str, ending: str) -> tuple[str, ...]:
        """The names of files in a folder that end so, sorted; none where there is no such folder."""
        try:
            with os.scandir(self.root / below) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(ending) and entry.is_file()]
        except OSError:
            return ()
        return tuple(f"{below}/{name}" for name in sorted(names))

    def folders(self, below: str = "") -> tuple[str, ...]:
        """The names of folders in a folder, sorted; links to folders are left out. Raises PackageError for too many."""
        try:
            with os.scandir(self.root / below) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return ()
        if len(names) > _MAX_ENTRIES:
            raise PackageError(f"{self.root / below} has {len(names)} folders: it is no build folder").because(
                "build-none", folder=str(self.root)
            )
        return tuple(f"{below}/{name}" if below else name for name in sorted(names))


def _is_kind(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether a path leads to such a thing; False also where it leads nowhere, or round in circles."""
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False
