"""``key pub``, ``key pubhash`` and ``key priv``: a key as source code, PEM or bytes."""

from __future__ import annotations

import sys
from pathlib import Path

from smpdfu.cli.keys.names import is_name_suffix
from smpdfu.cli.keys.options import HashEncoding, KeyText, Language, PassphraseOptions, PrivateFormat, PublicEncoding
from smpdfu.cli.keys.passphrase import read_key, read_private
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import Output, print_json
from smpdfu.image.files import write_file_atomic
from smpdfu.image.keys.export import private_key_bytes, public_hash_bytes, public_key_bytes


def write_public(
    key: str,
    secret: PassphraseOptions,
    text: KeyText,
    out: Output,
    encoding: PublicEncoding | None,
    lang: Language | None,
) -> None:
    """Write the public half of a key. Raises typer.BadParameter, SigningError or OSError."""
    if encoding and lang:
        raise typer.BadParameter("you gave --encoding and --lang. Give only one of them")
    form = PublicEncoding(f"lang-{lang or Language.C}") if encoding is None else encoding
    _check_suffix(text.name_suffix, form)
    _check_output(text.output, key, secret, text)
    public = read_key(key, secret.source()).public
    _hand_out(public_key_bytes(public, form, text.name_suffix), form, text.output, out, replace=text)


def write_public_hash(key: str, secret: PassphraseOptions, text: KeyText, out: Output, encoding: HashEncoding) -> None:
    """Write the SHA-256 of the public key. Raises typer.BadParameter, SigningError or OSError."""
    _check_suffix(text.name_suffix, encoding)
    _check_output(text.output, key, secret, text)
    public = read_key(key, secret.source()).public
    _hand_out(public_hash_bytes(public, encoding, text.name_suffix), encoding, text.output, out, replace=text)


def write_private(
    key: str,
    secret: PassphraseOptions,
    replace: Replace,
    out: Output,
    form: PrivateFormat | None,
    output: Path | None,
    *,
    minimal: bool,
) -> None:
    """Write the private key as a C array. Raises SigningError or OSError."""
    _check_output(output, key, secret, replace)
    private = read_private(key, secret.source(), "getpriv")
    text = private_key_bytes(private, None if form is None else form.value, minimal=minimal)
    _hand_out(text, "lang-c", output, out, mode=0o600, replace=replace)


def _check_output(output: Path | None, key: str, secret: PassphraseOptions, replace: Replace) -> None:
    replace.check([] if output is None else [output], (key, secret.passphrase_file))


def _hand_out(
    data: bytes, encoding: str, output: Path | None, out: Output, mode: int = 0o644, *, replace: Replace
) -> None:
    """Write to ``output``, else to stdout as it is; with --json inside the document, ``raw`` as hex."""
    if output is not None:
        write_file_atomic(output, data, mode=mode, replace_keys=replace.force)
    elif not out.json:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    if out.json:
        content = data if encoding == "raw" else data.decode()
        print_json({"encoding": encoding, "output": output, "content": None if output else content})


def _check_suffix(suffix: str, encoding: str) -> None:
    if suffix and not encoding.startswith("lang-"):
        raise typer.BadParameter(f"--name-suffix works only with source code, and {encoding} has no names")
    if not is_name_suffix(suffix):
        raise typer.BadParameter(f"--name-suffix {suffix!r} is wrong. Use only letters, digits and _")
