"""Takes real build folders of the nRF Connect SDK out of public git repositories, for ``test_real_builds.py``.

    git clone --no-checkout https://github.com/OWNER/NAME CLONE
    python tests/vectors/take_real_builds.py CLONE COMMIT FOLDER/ANY_NAME
    SMPDFU_REAL_BUILDS=FOLDER python -m pytest tests/vectors/test_real_builds.py

Some projects have checked in what a build left behind. It is not ours to spread, so it is not kept here; ``KNOWN`` says
where it is. Only files that a reader of build folders could want are taken; objects and libraries are not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KNOWN = (
    ("shuhao-dong/BORUS", "aad5ae706b7439a80b2498bd0589158ed6040597", "NCS 2.7, Thingy:53 with TF-M, simultaneous"),
    ("shuhao-dong/BORUS", "3a3bc0519122d9899365c79614bea9100da5cf95", "the same, another day"),
    (
        "Botz-Limited/sensing_system-Zephyr",
        "75200342438f32f1e573447bcc9fe9457d64fc5b",
        "NCS 3.0, nRF5340 DK, simultaneous, external flash; MCUboot's files are called mcuboot.hex and mcuboot.bin",
    ),
)
"""Repository, commit, what its folder ``build`` is."""

_WANTED = (".config", ".dts", ".yaml", ".yml", ".hex", ".bin", ".zip", "_manifest.json", "CMakeCache.txt")


def take(git_dir: Path, commit: str, folder: Path) -> int:
    """Write the files of ``build`` in this commit into ``folder``; return how many there are."""
    git = ("git", "-C", str(git_dir))
    tree = subprocess.run([*git, "ls-tree", "-r", commit, "build"], capture_output=True, text=True, check=True)
    count = 0
    for line in tree.stdout.splitlines():
        about, _, name = line.partition("\t")
        if not name.endswith(_WANTED) or "/_sysbuild/" in name or "/include/" in name:
            continue
        path = folder / Path(name).relative_to("build")
        path.parent.mkdir(parents=True, exist_ok=True)
        blob = subprocess.run([*git, "cat-file", "blob", about.split()[2]], capture_output=True, check=True)
        path.write_bytes(blob.stdout)
        count += 1
    return count


def main() -> None:
    """Take one folder."""
    if len(sys.argv) != 4:
        known = "\n".join(f"  {name} {commit}: {about}" for name, commit, about in KNOWN)
        sys.exit(f"usage: {sys.argv[0]} CLONE COMMIT FOLDER\nknown:\n{known}")
    print(f"{take(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))} files in {sys.argv[3]}")


if __name__ == "__main__":
    main()
