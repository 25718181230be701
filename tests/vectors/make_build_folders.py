"""Rebuilds the folders that builds of the nRF Connect SDK leave, as far as a reader could want them.

    python tests/vectors/make_build_folders.py KIND FOLDER [FIRMWARE_VERSION]
    python tests/vectors/make_build_folders.py --list

No package on PyPI holds such a folder, so it is made from what the SDK's scripts do; each field has its source in a
comment in ``build_folders/``. Images are signed by the real imgtool, called as the SDK calls it, with the development
keys of this repository. The same folder has the same bytes each time: its randomness is pinned and nothing in it
depends on the clock. Only paths inside differ, for a build writes where it lies (``built_at``).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.vectors.build_folders import child, sysbuild
from tests.vectors.build_folders.kinds import APP_VERSION, TABLE
from tests.vectors.build_folders.signing import key_file

KINDS: tuple[str, ...] = tuple(TABLE)


def make_build_folder(
    kind: str, folder: Path, built_at: str | None = None, *, version: str = APP_VERSION, firmware_version: int = 1
) -> None:
    """Write the folder of a build of this kind; ``folder`` is created.

    ``built_at`` is the path that the build system wrote into its files, for a folder that was moved since (an artifact
    of a build server); without it, that of ``folder``. Another ``version`` of the application has other firmware
    on both cores. ``firmware_version`` is that of MCUboot and of the network core for NSIB. Raises ``KeyError`` for a
    kind that there is not.
    """
    found = replace(TABLE[kind], version=version, firmware_version=firmware_version)
    folder.mkdir(parents=True, exist_ok=True)
    make = child.make if found.style == "child" else sysbuild.make
    make(found, folder, built_at or str(folder.resolve()))


def signing_key(kind: str) -> Path:
    """The private key (PEM) that the images of a build of this kind are signed with."""
    return key_file(TABLE[kind])


def main() -> None:
    """Write the folder that the command line names."""
    if sys.argv[1:] == ["--list"]:
        print("\n".join(KINDS))
        return
    kind, folder, firmware_version = (*sys.argv[1:], "1")[:3] if len(sys.argv) in (3, 4) else ("", "", "")
    if kind not in KINDS:
        sys.exit(f"usage: {sys.argv[0]} KIND FOLDER [FIRMWARE_VERSION], KIND is one of:\n  " + "\n  ".join(KINDS))
    make_build_folder(kind, Path(folder), firmware_version=int(firmware_version))


if __name__ == "__main__":
    main()
