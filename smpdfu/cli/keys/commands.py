"""Keys: ``key gen|pub|pubhash|priv|info``, and the same under imgtool's names: ``keygen``, ``getpub``, ..."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.keys.passphrase import Passphrase, is_name_suffix, make_key, read_key, read_private
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import Output, facts, print_json
from smpdfu.image.signers import scheme_of, shown_key

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey


@dataclass(frozen=True, slots=True)
class PassphraseOptions:
    """Where the passphrase of a protected key comes from; without one of these, a terminal is asked."""

    passphrase_env: Annotated[
        str | None,
        typer.Option("--passphrase-env", metavar="NAME", help="Variable that holds the passphrase of the key."),
    ] = None
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="File that holds it in its first line."),
    ] = None

    def source(self) -> Passphrase:
        """The same as one value; typer.BadParameter when both are given."""
        try:
            return Passphrase(self.passphrase_env, self.passphrase_file)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


KeyFile = Annotated[Path, typer.Option("-k", "--key", metavar="FILE", help="Key file, PEM.")]
Key = Annotated[
    str,
    typer.Option("-k", "--key", metavar="KEY", help="Key file (PEM), env:NAME, - for standard input, or a key URI."),
]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write here, not to stdout.")]


@dataclass(frozen=True, slots=True)
class KeyText(Replace):
    """Where text about a key goes, and the names in it."""

    output: OutputFile = None
    name_suffix: Annotated[
        str, typer.Option("--name-suffix", metavar="SUFFIX", help="Appended to the names in C and Rust code.")
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


def register(app: typer.Typer) -> None:
    """Add the group ``key`` to ``app``, and its commands under imgtool's names."""
    group = typer.Typer(help="Make keys, and write them in the form that a bootloader needs.", no_args_is_help=True)
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
    app.add_typer(group, name="key")


def keygen(
    key: KeyFile,
    secret: PassphraseOptions,
    out: Output,
    kind: Annotated[
        str, typer.Option("-t", "--type", metavar="TYPE", help="ecdsa-p256, ecdsa-p384, ed25519, x25519, rsa-2048, ...")
    ] = "ecdsa-p256",
    password: Annotated[bool, typer.Option("-p", "--password", help="Protect the key with a passphrase.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Make a private key, in a file that only you can read."""
    source = secret.source()
    try:
        made = make_key(kind, key, source if password or source.given else None, force=force)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    _tell(made, KeyHalf.PRIVATE, key, out, protected=password or source.given)


def getpub(
    key: Key,
    secret: PassphraseOptions,
    text: KeyText,
    out: Output,
    encoding: Annotated[PublicEncoding | None, typer.Option("-e", "--encoding", help="lang-c by default.")] = None,
    lang: Annotated[Language | None, typer.Option("-l", "--lang", help="Old word for -e lang-...", hidden=True)] = None,
) -> None:
    """Write the public half of a key as C source, Rust source or PEM."""
    if encoding and lang:
        raise typer.BadParameter("give either --encoding or --lang, not both")
    form = PublicEncoding(f"lang-{lang or Language.C}") if encoding is None else encoding
    _check_suffix(text.name_suffix, form)
    from smpdfu.image.keys.export import public_key_bytes

    _check_output(text.output, key, secret, text)
    public = read_key(key, secret.source()).public
    _hand_out(public_key_bytes(public, form, text.name_suffix), form, text.output, out, replace=text)


def getpubhash(
    key: Key,
    secret: PassphraseOptions,
    text: KeyText,
    out: Output,
    encoding: Annotated[HashEncoding, typer.Option("-e", "--encoding")] = HashEncoding.C,
) -> None:
    """Write the SHA-256 of the public key."""
    _check_suffix(text.name_suffix, encoding)
    from smpdfu.image.keys.export import public_hash_bytes

    _check_output(text.output, key, secret, text)
    public = read_key(key, secret.source()).public
    _hand_out(public_hash_bytes(public, encoding, text.name_suffix), encoding, text.output, out, replace=text)


def getpriv(
    key: Key,
    secret: PassphraseOptions,
    replace: Replace,
    out: Output,
    minimal: Annotated[bool, typer.Option("--minimal", help="Only what decryption needs.")] = False,
    form: Annotated[PrivateFormat | None, typer.Option("-f", "--format")] = None,
    output: OutputFile = None,
) -> None:
    """Write the private key as a C array, for a bootloader that decrypts."""
    from smpdfu.image.keys.export import private_key_bytes

    _check_output(output, key, secret, replace)
    private = read_private(key, secret.source(), "getpriv")
    text = private_key_bytes(private, None if form is None else form.value, minimal=minimal)
    _hand_out(text, "lang-c", output, out, mode=0o600, replace=replace)


def keyinfo(
    key: Key,
    secret: PassphraseOptions,
    out: Output,
    require: Annotated[
        KeyHalf | None, typer.Option("--require", help="Leave with 2 if the file holds the other kind.")
    ] = None,
) -> None:
    """Show what a key file holds, or which key a URI names."""
    from smpdfu.cli.keys.passphrase import key_bytes
    from smpdfu.image.keys.keys import PrivateKey, is_encrypted

    found, elsewhere = read_key(key, secret.source()), scheme_of(key) is not None
    half = KeyHalf.PRIVATE if elsewhere or isinstance(found, PrivateKey) else KeyHalf.PUBLIC
    _tell(found, half, key, out, protected=elsewhere or is_encrypted(key_bytes(key)))
    if require is not None and half is not require:
        raise typer.BadParameter(f"{shown_key(key)} is a {half} key, but {require} was required")


def _tell(key: PublicKey, half: KeyHalf, name: str | Path, out: Output, *, protected: bool) -> None:
    from smpdfu.image.keys.export import public_key_hash
    from smpdfu.image.keys.known_keys import known_key

    known, name = known_key(key.public_bytes), shown_key(str(name))
    answer = {
        "key": name,
        "holds": half,
        "type": key.kind.name,
        "protected": protected,
        "public_key_sha256": public_key_hash(key),
        "known_as": known,
    }
    if known is not None:
        out.warn(f"{name} is {known}: everybody has it")
    shown = [(label.replace("_", " "), value) for label, value in answer.items() if value is not None]
    out.emit(answer, lambda: facts(shown))


def _check_output(output: Path | None, key: str, secret: PassphraseOptions, replace: Replace) -> None:
    replace.check([] if output is None else [output], (key, secret.passphrase_file))


def _hand_out(
    data: bytes, encoding: str, output: Path | None, out: Output, mode: int = 0o644, *, replace: Replace
) -> None:
    """Write to ``output``, else to stdout as it is; with --json inside the document, ``raw`` as hex."""
    if output is not None:
        from smpdfu.image.files import write_file_atomic

        write_file_atomic(output, data, mode=mode, replace_keys=replace.force)
    elif not out.json:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    if out.json:
        content = data if encoding == "raw" else data.decode()
        print_json({"encoding": encoding, "output": output, "content": None if output else content})


def _check_suffix(suffix: str, encoding: str) -> None:
    if suffix and not encoding.startswith("lang-"):
        raise typer.BadParameter(f"--name-suffix is for names in source code; {encoding} has none")
    if not is_name_suffix(suffix):
        raise typer.BadParameter(f"--name-suffix {suffix!r} can have letters, digits and _ only")
