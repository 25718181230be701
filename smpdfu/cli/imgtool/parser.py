"""imgtool's command line: every command and option of imgtool 2.5.0 and of Nordic's fork, read as imgtool reads them.

Only the command that runs gets a parser, because builds start this program often. What each option means is in
``commands.py``. imgtool takes the next word after an option as its value, also if it begins with ``-``. argparse does
not, so ``joined`` makes one word of the two first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from smpdfu.cli.imgtool.words import (
    NO_DEPENDENCIES,
    NO_INTEGER,
    NO_SUFFIX,
    NO_VERSION,
    SMALL_HEADER,
    is_integer,
    is_version,
    names_an_image,
    no_such_option,
    of_click,
    worded,
)
from smpdfu.cli.keys.names import KEY_TYPES, is_name_suffix
from smpdfu.cli.terminal import values
from smpdfu.untrusted.text import line

EXIT_USAGE = 2

# What each command does, for the list of commands. `create` is imgtool's other name for `sign`.
COMMANDS = {
    "create": "Sign an image",
    "dumpinfo": "Print header, TLVs and trailer of an image",
    "getpriv": "Print the private key as a C array",
    "getpub": "Print the public key of a key",
    "getpubhash": "Print the SHA-256 of the public key",
    "keygen": "Make a private key",
    "keyinfo": "Print whether a key is private or public",
    "sign": "Sign an image",
    "verify": "Check an image, with a key also its signature",
    "version": "Print the version of imgtool whose command line this is",
}
_PAIR = "\0"  # between the two values of an option: cannot stand in an argument


class UsageError(Exception):
    """The command line cannot be carried out; exit code 2."""


class Help(argparse.HelpFormatter):
    """Help of a fixed width: argparse makes one formatter an option, and would ask for the terminal each time."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class Parser(argparse.ArgumentParser):
    """argparse with imgtool's manners: no abbreviations, ``Error:`` in front of the sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, in click's words, and leave with 2."""
        names = " ".join(str(one.metavar) for one in self._actions if not one.option_strings)
        usage = f"Usage: {self.prog} [OPTIONS] {names}".rstrip()
        sys.stderr.write(f"{usage}\nTry '{self.prog} --help' for help.\n\nError: {line(of_click(message))}\n")
        sys.exit(EXIT_USAGE)


def parse(words: list[str]) -> tuple[str, argparse.Namespace]:
    """The command and its options; leaves with imgtool's exit code for help and for what cannot be read."""
    command = words[0] if words else ""
    if command in ("-h", "--help"):
        sys.stdout.write(_help())
        sys.exit(0)
    if command not in COMMANDS:
        what = f"No such {'option' if command.startswith('-') else 'command'} '{command}'.\n"
        sys.stderr.write(f"{_help()}\nError: {what}" if words else _help())
        sys.exit(EXIT_USAGE)
    parser = parser_of(command)
    rest = list(joined(words[1:], parser))
    _refuse_unknown(rest, parser)
    return command, parser.parse_args(rest)


def _refuse_unknown(words: list[str], parser: Parser) -> None:
    """Leave with a sentence about an option that does not exist, before one about what is missing; as click does."""
    known = parser._option_string_actions
    for word in words:
        if word == "--":
            return
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        if len(word) > 1 and word.startswith("-") and name not in known:
            parser.error(no_such_option(name, known))


def _help() -> str:
    rows = "".join(f"  {name:<11} {text}\n" for name, text in COMMANDS.items())
    return f"usage: smpdfu-imgtool COMMAND [OPTIONS]\n\nSign MCUboot images, as imgtool does.\n\n{rows}"


def parser_of(command: str) -> Parser:
    """The options of one command."""
    prog = f"smpdfu-imgtool {command}"
    text = COMMANDS[command]
    parser = Parser(prog=prog, description=text, formatter_class=Help, allow_abbrev=False)
    if command in _OPTIONS:
        _OPTIONS[command](parser)
    return parser


def joined(words: list[str], parser: Parser) -> Iterator[str]:
    """Every option and its value in one word, ``--key=value``; two values with a separator between them."""
    options = {name: action for action in parser._actions for name in action.option_strings}
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield word
            break
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(word) > 1:
            yield from _short(word, options, rest)
        elif name in options and options[name].nargs != 0:
            yield _with_values(options[name], [value] if equals else [], rest)
        else:
            yield word
    yield from rest


def _short(word: str, options: Mapping[str, argparse.Action], rest: Iterator[str]) -> Iterator[str]:
    """``-cskey.pem`` is -c, and -s with a value; a word that is no option stays as it is."""
    letters = word[1:] if word.startswith("-") else ""
    while letters and (action := options.get(f"-{letters[0]}")) is not None:
        if action.nargs != 0:
            yield _with_values(action, [letters[1:]] if letters[1:] else [], rest)
            return
        yield f"-{letters[0]}"
        letters = letters[1:]
    if letters or not word.startswith("-"):
        yield f"-{letters}" if letters else word


def _with_values(action: argparse.Action, found: list[str], rest: Iterator[str]) -> str:
    wanted = 2 if action.type is _two else 1
    while len(found) < wanted and (word := next(rest, None)) is not None:
        found.append(word)
    name = action.option_strings[-1]
    return f"{name}={_PAIR.join(found)}" if len(found) == wanted else name


def _two(text: str) -> tuple[str, str]:
    first, _, second = text.partition(_PAIR)
    return first, second


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of ``values`` whose sentence reaches the user."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


_number = _typed(worded(values.number, NO_INTEGER, fits=is_integer))
_address = _typed(worded(values.unsigned32, NO_INTEGER, fits=is_integer))
_counter = _typed(worded(values.security_counter, NO_INTEGER, fits=is_integer))
_header = _typed(worded(values.header_size, SMALL_HEADER, fits=lambda text: not is_integer(text)))
_version = _typed(worded(values.imgtool_version, NO_VERSION, fits=is_version))

_dependencies = _typed(worded(values.dependencies, NO_DEPENDENCIES, fits=names_an_image))


def _suffix(text: str) -> str:
    if not is_name_suffix(text):
        raise ValueError(NO_SUFFIX.format(text=text))
    return text


# --- keys -----------------------------------------------------------------------------------------------------------


def _key(parser: Parser) -> None:
    parser.add_argument("-k", "--key", metavar="filename", required=True)
    _passphrase(parser)


def _passphrase(parser: Parser) -> None:
    ours = parser.add_argument_group("not in imgtool")
    ours.add_argument("--passphrase-env", metavar="NAME", help="variable that holds the passphrase of the key")
    ours.add_argument("--passphrase-file", metavar="FILE", type=Path, help="file that holds it in its first line")


def _keygen(parser: Parser) -> None:
    _key(parser)
    parser.add_argument("-t", "--type", metavar="type", choices=KEY_TYPES, help=f"one of: {', '.join(KEY_TYPES)}")
    parser.add_argument("-p", "--password", action="store_true", help="protect the key with a passphrase")
    parser.add_argument("--force", action="store_true", help="replace a key file that exists (not in imgtool)")


def _text(parser: Parser) -> None:
    _key(parser)
    parser.add_argument("-o", "--output", metavar="output", type=Path, help="instead of stdout")
    parser.add_argument(
        "--name-suffix", metavar="SUFFIX", default="", type=_typed(_suffix), help="behind the names in C and Rust code"
    )


def _getpub(parser: Parser) -> None:
    _text(parser)
    parser.add_argument("-e", "--encoding", choices=("lang-c", "lang-rust", "pem", "raw"))
    parser.add_argument("-l", "--lang", choices=("c", "rust"), help="deprecated: use --encoding")


def _getpubhash(parser: Parser) -> None:
    _text(parser)
    parser.add_argument("-e", "--encoding", choices=("lang-c", "raw"), default="lang-c")


def _getpriv(parser: Parser) -> None:
    _key(parser)
    parser.add_argument("--minimal", action="store_true", help="only what decryption needs")
    parser.add_argument("-f", "--format", choices=("openssl", "pkcs8"))


def _keyinfo(parser: Parser) -> None:
    _key(parser)
    parser.add_argument("--require", choices=("private", "public"), help="leave with 2 if the key is the other kind")


# --- images ---------------------------------------------------------------------------------------------------------


def _verify(parser: Parser) -> None:
    parser.add_argument("imgfile", metavar="IMGFILE", type=Path)
    parser.add_argument("-k", "--key", metavar="filename")
    _passphrase(parser)


def _dumpinfo(parser: Parser) -> None:
    parser.add_argument("imgfile", metavar="IMGFILE", type=Path)
    parser.add_argument("-o", "--outfile", metavar="filename", type=Path, help="write here, as YAML if not told else")
    parser.add_argument("-f", "--format", choices=("human", "yaml", "json"))
    parser.add_argument("-s", "--silent", action="store_true", help="ignored, as in imgtool")


def _sign(parser: Parser) -> None:
    parser.add_argument("infile", metavar="INFILE", type=Path, help="Intel HEX or binary, known by its content")
    parser.add_argument("outfile", metavar="OUTFILE", type=Path, help="Intel HEX if it is called .hex, else binary")
    _sign_slot(parser)
    _sign_content(parser)
    _sign_keys(parser)
    _sign_signature(parser)
    _sign_encryption(parser)
    _sign_compression(parser)
    _passphrase(parser)


_ERASED = {"0": 0, "0xff": 0xFF}


def _sign_slot(parser: Parser) -> None:
    flag: dict[str, Any] = {"action": "store_true"}
    parser.add_argument("-H", "--header-size", type=_header, default=32, metavar="INTEGER|auto")
    parser.add_argument("-S", "--slot-size", type=_number, required=True, metavar="INTEGER")
    parser.add_argument("--pad-header", **flag, help="put --header-size bytes before the firmware")
    parser.add_argument("--align", type=int, choices=(1, 2, 4, 8, 16, 32), default=1)
    parser.add_argument("--max-align", type=int, choices=(8, 16, 32))
    parser.add_argument("-M", "--max-sectors", type=int, metavar="INTEGER")
    parser.add_argument("--overwrite-only", **flag)
    parser.add_argument("--pad", **flag, help="pad to --slot-size, with a trailer")
    parser.add_argument("--confirm", **flag, help="--pad, and mark the image as confirmed")
    parser.add_argument("--test", **flag, help="--pad, and mark the image for a test")
    parser.add_argument("-R", "--erased-val", type=_one_of(_ERASED), default=0xFF, metavar="0|0xff")
    parser.add_argument("--pad-value", type=_one_of(_ERASED), metavar="0|0xff", help="fills header and slot")
    parser.add_argument("-e", "--endian", choices=("little", "big"), default="little")
    parser.add_argument("-L", "--load-addr", type=_address, metavar="INTEGER")
    parser.add_argument("-F", "--rom-fixed", type=_address, metavar="INTEGER")
    parser.add_argument("-x", "--hex-addr", type=_address, metavar="INTEGER")


def _one_of(choices: Mapping[str, int]) -> Callable[[str], int]:
    def choose(text: str) -> int:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(map(repr, choices))}.")
        return choices[text]

    return choose


def _sign_content(parser: Parser) -> None:
    parser.add_argument("-v", "--version", type=_version, required=True)
    parser.add_argument("-d", "--dependencies", type=_dependencies, default=())
    parser.add_argument("-s", "--security-counter", type=_counter)
    pair: dict[str, Any] = {"type": _two, "action": "append", "default": []}
    parser.add_argument("--custom-tlv", **pair, metavar="[tag] [value]")
    parser.add_argument("--custom-tlv-file", **pair, metavar="[tag] [filename]")
    parser.add_argument("--boot-record", metavar="sw_type")
    parser.add_argument("--non-bootable", action="store_true")
    parser.add_argument("--vid", metavar="VID", help="raw UUID, or a domain name")
    parser.add_argument("--cid", metavar="CID", help="raw UUID, or the name of a class of images")
    parser.add_argument("--manifest", metavar="filename", type=Path, help="the update manifest of Nordic's fork")
    parser.add_argument("--edt-config", metavar="filename", help="not taken: a pickle file would be run")


def _sign_keys(parser: Parser) -> None:
    parser.add_argument("-k", "--key", metavar="filename")
    parser.add_argument("--public-key-format", choices=("hash", "full"), default="hash")
    parser.add_argument("--pad-sig", action="store_true", help="pad ECDSA signatures, for MCUboot before 1.5")
    parser.add_argument("--sha", choices=("auto", "256", "384", "512"), default="auto")
    parser.add_argument("--pure", action="store_true", help="sign the image and not its hash (Ed25519)")


def _sign_signature(parser: Parser) -> None:
    parser.add_argument("--fix-sig", metavar="filename", type=Path, help="base64 of a signature made elsewhere")
    parser.add_argument("--fix-sig-pubkey", metavar="filename", help="the public key that it verifies with")
    parser.add_argument("--sig-out", metavar="filename", type=Path, help="write the signature here, as base64")
    parser.add_argument("--vector-to-sign", choices=("payload", "digest"), help="write what is to be signed elsewhere")


def _sign_encryption(parser: Parser) -> None:
    parser.add_argument("-E", "--encrypt", metavar="filename")
    parser.add_argument("--encrypt-keylen", type=int, choices=(128, 256), default=128)
    parser.add_argument("--hmac-sha", choices=("auto", "256", "512"), default="auto")
    parser.add_argument("--save-enctlv", action="store_true")
    parser.add_argument("-c", "--clear", action="store_true")


def _sign_compression(parser: Parser) -> None:
    parser.add_argument("--compression", choices=("disabled", "lzma2", "lzma2armthumb"), default="disabled")
    for name, default in (("dictsize", 131072), ("pb", 2), ("lc", 3), ("lp", 1), ("preset", 9)):
        parser.add_argument(f"--compression-lzma-{name}", type=int, default=default, metavar="INTEGER")


_OPTIONS: dict[str, Callable[[Parser], None]] = {
    "create": _sign,
    "dumpinfo": _dumpinfo,
    "getpriv": _getpriv,
    "getpub": _getpub,
    "getpubhash": _getpubhash,
    "keygen": _keygen,
    "keyinfo": _keyinfo,
    "sign": _sign,
    "verify": _verify,
}
