"""imgtool's commands for keys: ``keygen``, ``getpub``, ``getpubhash``, ``getpriv`` and ``keyinfo``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from smpdfu.cli.imgtool import words
from smpdfu.cli.imgtool.files import hand_out, passphrase_of, say
from smpdfu.cli.imgtool.parser import UsageError
from smpdfu.cli.keys.make import make_key
from smpdfu.cli.keys.names import KEY_TYPES
from smpdfu.cli.keys.passphrase import key_bytes, read_key
from smpdfu.errors import KeyFileError, PassphraseError, SigningError, WrongPassphraseError
from smpdfu.image.files import parse_key
from smpdfu.image.keys.export import private_key_bytes, public_hash_bytes, public_key_bytes
from smpdfu.image.keys.keys import PrivateKey


def keygen(arguments: Namespace) -> int:
    """Make a private key; unlike imgtool, readable by its owner only, and never over one that exists."""
    passphrase = passphrase_of(arguments)
    protect = arguments.password or passphrase.given
    kind = arguments.type or _asked_type()
    make_key(kind, Path(arguments.key), passphrase if protect else None, force=arguments.force)
    return 0


def _asked_type() -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"the type of the key is missing. Give one with --type: {', '.join(KEY_TYPES)}")
    kind = input(f"Type ({', '.join(KEY_TYPES)}): ")
    if kind not in KEY_TYPES:
        raise UsageError(f"{kind!r} is not one of {', '.join(KEY_TYPES)}")
    return kind


def getpub(arguments: Namespace) -> int:
    """Write the public key."""
    if arguments.encoding and arguments.lang:
        raise UsageError(words.TWO_ENCODINGS)
    encoding = arguments.encoding or f"lang-{arguments.lang or 'c'}"
    if arguments.name_suffix and not encoding.startswith("lang-"):
        raise UsageError(words.SUFFIX_OF_CODE)
    public = read_key(arguments.key, passphrase_of(arguments)).public
    return hand_out(public_key_bytes(public, encoding, arguments.name_suffix), arguments.output)


def getpubhash(arguments: Namespace) -> int:
    """Write the SHA-256 of the public key."""
    if arguments.name_suffix and arguments.encoding == "raw":
        raise UsageError(words.SUFFIX_OF_C)
    public = read_key(arguments.key, passphrase_of(arguments)).public
    return hand_out(public_hash_bytes(public, arguments.encoding, arguments.name_suffix), arguments.output)


def getpriv(arguments: Namespace) -> int:
    """Write the private key as a C array."""
    private = read_key(arguments.key, passphrase_of(arguments))
    if not isinstance(private, PrivateKey):
        raise UsageError(f"{words.PRIVATE_NEEDED} ({arguments.key} holds a public key)")
    try:
        text = private_key_bytes(private, arguments.format, minimal=arguments.minimal)
    except SigningError as error:
        sentence = words.NO_PRIVATE_FORM.get(private.kind.short_name)
        theirs = "" if sentence is None else f"{sentence.format(form=arguments.format)}: "
        raise UsageError(f"{theirs}{error}") from None
    return hand_out(text, None)


def keyinfo(arguments: Namespace) -> int:
    """Print ``private`` or ``public``; never asks for a passphrase."""
    passphrase = passphrase_of(arguments)
    name = arguments.key
    try:
        key = parse_key(key_bytes(name), name, lambda: passphrase.ask(name) if passphrase.given else None)
    except WrongPassphraseError as error:
        raise UsageError(str(error)) from None
    except PassphraseError:
        raise UsageError(words.NO_PASSPHRASE.format(key=arguments.key)) from None
    except KeyFileError as error:
        raise UsageError(str(error)) from None
    half = "private" if isinstance(key, PrivateKey) else "public"
    say(half)
    if arguments.require not in (None, half):
        raise UsageError(words.WRONG_HALF.format(key=arguments.key, half=half, wanted=arguments.require))
    return 0


ACTIONS = {"getpriv": getpriv, "getpub": getpub, "getpubhash": getpubhash, "keygen": keygen, "keyinfo": keyinfo}
