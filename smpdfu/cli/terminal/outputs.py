"""A command must not overwrite its input, nor a private key, which would be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.errors import ImageError, KeyFileError

Name = str | Path | None


@dataclass(frozen=True, slots=True)
class Replace:
    """Whether an output may replace an input, or a file with a private key."""

    force: Annotated[
        bool,
        typer.Option("--force", help="Replace an output file even if it is also an input, or has a private key in it."),
    ] = False

    def check(self, outputs: Iterable[Path], inputs: Sequence[Name]) -> None:
        """Raise ImageError, or KeyFileError for a private key, before anything is asked or written."""
        if not self.force:
            check_outputs(outputs, inputs, "; use --force if you want to replace it")


def check_outputs(outputs: Iterable[Path], inputs: Sequence[Name], advice: str = "") -> None:
    """Raise ImageError for an output that is one of ``inputs``, KeyFileError for one that holds a private key.

    A name of an input that is no file (a key URI) is no harm. ``advice`` ends the sentence.
    """
    from smpdfu.image.files import holds_private_key  # here: --help has these options and needs no files

    for output in outputs:
        if holds_private_key(output):
            raise KeyFileError(f"{output} holds a private key: smpdfu does not overwrite it{advice}", str(output))
        for name in inputs:
            if name is not None and _is_same(output, name):
                raise ImageError(f"{output} is an input of this command: smpdfu does not overwrite it{advice}")


def check_distinct(outputs: Iterable[Path]) -> None:
    """Raise ImageError for two outputs that are one file, also by a link or another spelling: one would be lost."""
    taken: set[str] = set()
    for output in outputs:
        place = os.path.realpath(output)
        if place in taken:
            raise ImageError(f"two outputs of this command would be in the same file: {output}")
        taken.add(place)


def _is_same(output: Path, name: str | Path) -> bool:
    """Whether both are one regular file, also by a link or another spelling."""
    try:
        return os.path.isfile(output) and os.path.samefile(output, name)
    except (OSError, ValueError):
        return False
