"""``--trust``: the keys whose signatures a person accepts, whatever the device accepts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from smpdfu.image.keys.keys import PublicKey


@dataclass(frozen=True, slots=True)
class TrustOptions:
    """Which keys may have signed what is installed."""

    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            metavar="KEY",
            help="Refuse an image that this key has not signed, before smpdfu sends anything. A PEM file (the public "
            "half is enough) or a key URI. May be repeated.",
        ),
    ] = None

    def keys(self, more: Iterable[Path] = ()) -> tuple[PublicKey, ...]:
        """The keys, and those in the files ``more``; none: any signature will do. Raises SigningError or OSError."""
        names = [*(self.trust or ()), *map(str, more)]
        if not names:
            return ()
        from smpdfu.cli.image.key_files import read_trusted  # here: it loads cryptography

        return read_trusted(names)

    def words(self) -> list[str]:
        """The options again, for the next call."""
        return [word for name in self.trust or () for word in ("--trust", name)]
