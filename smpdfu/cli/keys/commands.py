"""Keys: ``key gen|pub|pubhash|priv|info``, and the same under imgtool's names: ``keygen``, ``getpub``, ...

This file declares the commands and imports little, so that ``--help`` is fast. ``export.py`` and ``info.py`` do the
work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.keys.names import KEY_TYPES
from smpdfu.cli.keys.options import (
    HashEncoding,
    Key,
    KeyFile,
    KeyHalf,
    KeyText,
    Language,
    OutputFile,
    PassphraseOptions,
    PrivateFormat,
    PublicEncoding,
)
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add the group ``key`` to ``app``, and its commands under imgtool's names."""
    group = Group("Make keys, and write them in the form that a bootloader needs.")
    commands: dict[str, Callable[..., None]] = {
        "gen": keygen,
        "pub": getpub,
        "pubhash": getpubhash,
        "priv": getpriv,
        "info": keyinfo,
    }
    for name, function in commands.items():
        command(group, name)(function)
        command(app, function.__name__)(function)
    app.add_group("key", group)


def keygen(
    key: KeyFile,
    secret: PassphraseOptions,
    out: Output,
    kind: Annotated[
        str,
        typer.Option(
            "-t",
            "--type",
            metavar="TYPE",
            help="Type of the key: ecdsa-p256, ecdsa-p384, ed25519, x25519, rsa-2048 or rsa-3072.",
            autocompletion=completion.one_of(KEY_TYPES),
        ),
    ] = "ecdsa-p256",
    password: Annotated[bool, typer.Option("-p", "--password", help="Protect the key with a passphrase.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Make a private key, in a file that only you can read."""
    from smpdfu.cli.keys.info import make

    make(kind, key, secret, out, password=password, force=force)


def getpub(
    key: Key,
    secret: PassphraseOptions,
    text: KeyText,
    out: Output,
    encoding: Annotated[
        PublicEncoding | None, typer.Option("-e", "--encoding", help="Form of the output. [default: lang-c]")
    ] = None,
    lang: Annotated[Language | None, typer.Option("-l", "--lang", help="Old word for -e lang-...", hidden=True)] = None,
) -> None:
    """Write the public half of a key as C source, Rust source or PEM."""
    from smpdfu.cli.keys.export import write_public

    write_public(key, secret, text, out, encoding, lang)


def getpubhash(
    key: Key,
    secret: PassphraseOptions,
    text: KeyText,
    out: Output,
    encoding: Annotated[HashEncoding, typer.Option("-e", "--encoding", help="Form of the output.")] = HashEncoding.C,
) -> None:
    """Write the SHA-256 of the public key."""
    from smpdfu.cli.keys.export import write_public_hash

    write_public_hash(key, secret, text, out, encoding)


def getpriv(
    key: Key,
    secret: PassphraseOptions,
    replace: Replace,
    out: Output,
    minimal: Annotated[
        bool, typer.Option("--minimal", help="Leave out the parts that decryption does not need.")
    ] = False,
    form: Annotated[
        PrivateFormat | None,
        typer.Option("-f", "--format", help="Form of the key. [default: what the type of the key allows]"),
    ] = None,
    output: OutputFile = None,
) -> None:
    """Write the private key as a C array, for a bootloader that decrypts."""
    from smpdfu.cli.keys.export import write_private

    write_private(key, secret, replace, out, form, output, minimal=minimal)


def keyinfo(
    key: Key,
    secret: PassphraseOptions,
    out: Output,
    require: Annotated[
        KeyHalf | None, typer.Option("--require", help="End with exit code 2 if the key is of the other kind.")
    ] = None,
) -> None:
    """Show what a key file holds, or which key a URI names."""
    from smpdfu.cli.keys.info import show

    show(key, secret, out, require)
