"""Options of the ``key`` commands, and of every command that reads a key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import Replace

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import Passphrase


@dataclass(frozen=True, slots=True)
class PassphraseOptions:
    """The source of a key's passphrase. Without these options, smpdfu asks on the terminal."""

    passphrase_env: Annotated[
        str | None,
        typer.Option(
            "--passphrase-env", metavar="NAME", help="Environment variable that holds the passphrase of the key."
        ),
    ] = None
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="File that holds the passphrase in its first line."),
    ] = None

    def source(self) -> Passphrase:
        """The same as one value; typer.BadParameter when both are given."""
        from smpdfu.cli.keys.passphrase import Passphrase  # it reads key files, and --help reads none

        try:
            return Passphrase(self.passphrase_env, self.passphrase_file)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


def source_of_another(key: str, env: str | None, file: Path | None, usual: PassphraseOptions) -> Passphrase:
    """The passphrase of a further key, whose option is ``key`` (``--nsib-key``); by default that of the first.

    Raises typer.BadParameter when two sources are given.
    """
    if env is None and file is None:
        return usual.source()
    if env is not None and file is not None:
        option = key.removesuffix("-key")
        raise typer.BadParameter(f"give either {option}-passphrase-env or {option}-passphrase-file, not both")
    return PassphraseOptions(env, file).source()


KeyFile = Annotated[Path, typer.Option("-k", "--key", metavar="FILE", help="Key file, PEM.")]
Key = Annotated[
    str,
    typer.Option("-k", "--key", metavar="KEY", help="Key file (PEM), env:NAME, - for standard input, or a key URI."),
]
OutputFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to this file and not to stdout.")
]


@dataclass(frozen=True, slots=True)
class KeyText(Replace):
    """Where text about a key goes, and the names in it."""

    output: OutputFile = None
    name_suffix: Annotated[
        str, typer.Option("--name-suffix", metavar="SUFFIX", help="Text to append to the names in C and Rust code.")
    ] = ""


class PublicEncoding(StrEnum):
    """How ``getpub`` writes a public key."""

    C = "lang-c"
    RUST = "lang-rust"
    PEM = "pem"
    RAW = "raw"


class HashEncoding(StrEnum):
    """How ``getpubhash`` writes a hash."""

    C = "lang-c"
    RAW = "raw"


class Language(StrEnum):
    """imgtool's old word for two of the encodings."""

    C = "c"
    RUST = "rust"


class PrivateFormat(StrEnum):
    """How ``getpriv`` wraps a private key."""

    OPENSSL = "openssl"
    PKCS8 = "pkcs8"


class KeyHalf(StrEnum):
    """What a key file holds: a pair, or the public half alone."""

    PRIVATE = "private"
    PUBLIC = "public"
