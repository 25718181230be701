"""The options of ``package`` about keys: who signs, who seals for NSIB, and who can decrypt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from smpdfu.cli.image.options import KEYS, word
from smpdfu.cli.image.sign_options import Encryption
from smpdfu.cli.keys.options import source_of_another

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import Passphrase


@dataclass(frozen=True, slots=True)
class PackageKeys(Encryption):
    """The key that signs the images of a package, the one that seals, and the one that encrypts the application."""

    key: Annotated[
        str | None,
        word("-k", "--key", metavar="KEY", text="Private key: a PEM file or a key URI.", panel=KEYS),
    ] = None
    nsib_key: Annotated[
        str | None,
        word(
            "--nsib-key",
            metavar="KEY",
            text="With -k: before that, seal the firmware of the network core, and MCUboot itself, with this private "
            "key of NSIB (b0n, b0). It replaces the seal that the build made. A PEM file, env:NAME, - (stdin) or a "
            "key URI.",
            panel=KEYS,
        ),
    ] = None
    nsib_passphrase_env: Annotated[
        str | None,
        word(
            "--nsib-passphrase-env",
            metavar="NAME",
            text="Environment variable that holds the passphrase of --nsib-key. [default: the source for -k]",
            panel=KEYS,
        ),
    ] = None
    nsib_passphrase_file: Annotated[
        Path | None,
        word(
            "--nsib-passphrase-file",
            metavar="FILE",
            text="File that holds the passphrase of --nsib-key in its first line. [default: the source for -k]",
            panel=KEYS,
        ),
    ] = None

    def nsib_source(self) -> Passphrase:
        """Where the passphrase of ``nsib_key`` comes from. Raises typer.BadParameter when two sources are given."""
        return source_of_another("--nsib-key", self.nsib_passphrase_env, self.nsib_passphrase_file, self)
