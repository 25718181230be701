"""``--trust``, ``--net-key``, ``--b0-key``: the keys by which a person has images checked before they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from smpdfu.cli.terminal import lazy_typer as typer

if TYPE_CHECKING:
    from pathlib import Path

    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.nsib.trusted_keys import NsibKeys


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


@dataclass(frozen=True, slots=True)
class NsibOptions:
    """The keys that NSIB of the device was provisioned with: b0n on the network core, b0 below MCUboot."""

    net_key: Annotated[
        list[str] | None,
        typer.Option(
            "--net-key",
            metavar="KEY",
            help="Key that b0n on the network core trusts: check that it sealed the network core's image. A PEM file "
            "(the public half is enough), a key URI, or a provisioning file (net_provision.hex). Repeat it in the "
            "order in which the keys are provisioned.",
        ),
    ] = None
    b0_key: Annotated[
        list[str] | None,
        typer.Option(
            "--b0-key", metavar="KEY", help="The same for b0 and MCUboot itself (a key, or app_provision.hex)."
        ),
    ] = None

    def keys(self) -> NsibKeys:
        """The keys; none: the seals are not checked by a key. Raises SigningError, FormatError or OSError."""
        from smpdfu.cli.image.nsib_keys import read_nsib  # here: it loads cryptography

        return read_nsib(self.net_key or (), self.b0_key or ())

    def words(self) -> list[str]:
        """The options again, for the next call."""
        given = (("--net-key", self.net_key), ("--b0-key", self.b0_key))
        return [word for option, names in given for name in names or () for word in (option, name)]
