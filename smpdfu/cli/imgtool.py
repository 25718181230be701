"""``smpdfu-imgtool``: our signer behind the command line of imgtool 2.5.0, for build systems that call it by path.

Names, defaults, files, stdout and exit codes are imgtool's, and so are the few sentences it writes to stdout: they are
part of what others parse. Where imgtool ends in a traceback, one sentence and exit code 1 stand instead. argparse
and not typer: a build starts this program often, and it must start fast.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from smpdfu.cli import values
from smpdfu.cli.passphrase import Passphrase, is_name_suffix, make_key, read_key, read_private
from smpdfu.errors import FormatError, ImageError, KeyFileError, SigningError, SmpdfuError

if TYPE_CHECKING:
    from smpdfu.image.spec import ImageSpec

SPOKEN_VERSION = "2.5.0"  # the imgtool whose command line this is

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# What imgtool says to each fault that its `verify` knows, and for which of our judge's codes; the first counts.
BAD_MAGIC = "Invalid image magic; is this an MCUboot image?"
BAD_TLV_MAGIC = "Invalid TLV info magic; is this an MCUboot image?"
BAD_IMAGE = (
    ("Key type does not match TLV record", {"no-hash"}),
    ("Image has an invalid hash", {"hash", "encrypted", "encryption-key"}),
    ("No signature found for the given key", {"not-signed", "unknown-key", "signature"}),
)

KEY_TYPES = ("rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519", "x25519")


class UsageError(Exception):
    """The command line cannot be carried out; exit code 2."""


class Parser(argparse.ArgumentParser):
    """argparse with imgtool's manners: no abbreviations, ``Error:`` in front of the sentence."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with 2."""
        self.print_usage(sys.stderr)
        _fail(EXIT_USAGE, message)


class NotYet(argparse.Action):
    """An option of imgtool that is not there yet; ``harmless`` values ask for nothing and are taken."""

    def __init__(self, *arguments: Any, harmless: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.harmless = harmless

    def __call__(self, parser: argparse.ArgumentParser, _space: object, value: Any, option: str | None = None) -> None:
        """Refuse, unless nothing is asked for."""
        if value not in self.harmless:
            shown = f"{option} {value}" if isinstance(value, str) else option
            parser.error(f"{shown} is an option of imgtool that smpdfu-imgtool does not have yet")


def run() -> NoReturn:
    """Run the command line and leave with imgtool's exit code."""
    arguments = build_parser().parse_args()
    try:
        sys.exit(arguments.action(arguments))
    except (UsageError, ImageError) as error:
        _fail(EXIT_USAGE, str(error))
    except SmpdfuError as error:
        _fail(EXIT_FAILED, str(error))
    except KeyboardInterrupt:
        _fail(EXIT_INTERRUPTED, "interrupted; nothing is half-written")
    except OSError as error:
        what = error.strerror or str(error)
        _fail(EXIT_FAILED, f"{error.filename}: {what}" if error.filename else what)
    except Exception as error:  # a build's log never gets a traceback; SMPDFU_DEBUG=1 shows it
        if os.environ.get("SMPDFU_DEBUG"):
            raise
        _fail(EXIT_FAILED, f"unexpected {type(error).__name__}: {error}; please report what SMPDFU_DEBUG=1 prints")


def _fail(code: int, sentence: str) -> NoReturn:
    sys.stderr.write(f"Error: {sentence}\n")
    sys.exit(code)


# --- the command line -----------------------------------------------------------------------------------------------


def build_parser() -> Parser:
    """imgtool's commands and options."""
    parser = Parser(prog="smpdfu-imgtool", description="Sign MCUboot images; speaks the command line of imgtool.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, action: Callable[[argparse.Namespace], int], text: str, **more: Any) -> Parser:
        made: Parser = commands.add_parser(name, help=text, description=text, **more)
        made.set_defaults(action=action)
        return made

    _key_options(add("keygen", keygen, "Make a private key"), _keygen_options)
    _key_options(add("getpub", getpub, "Print the public key of a key"), _getpub_options)
    _key_options(add("getpubhash", getpubhash, "Print the SHA-256 of the public key"), _getpubhash_options)
    _key_options(add("getpriv", getpriv, "Print the private key as a C array"), _getpriv_options)
    _key_options(add("keyinfo", keyinfo, "Print whether a key is private or public"), _keyinfo_options)
    check = add("verify", verify, "Check an image, with a key also its signature")
    check.add_argument("imgfile", metavar="IMGFILE", type=Path)
    check.add_argument("-k", "--key", metavar="filename", type=Path)
    _passphrase_options(check)
    _sign_options(add("sign", sign, "Sign an image", aliases=["create"]))
    dump = add("dumpinfo", dumpinfo, "Not there yet: see smpdfu inspect")
    dump.add_argument("words", nargs="*")
    for name in ("-o", "--outfile", "-f", "--format"):
        dump.add_argument(name, help=argparse.SUPPRESS)
    dump.add_argument("-s", "--silent", action="store_true", help=argparse.SUPPRESS)
    add("version", lambda _: _say(SPOKEN_VERSION), "Print the version of imgtool whose command line this is")
    return parser


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of ``values`` whose sentence reaches the user."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _key_options(parser: Parser, more: Callable[[Parser], None]) -> None:
    parser.add_argument("-k", "--key", metavar="filename", type=Path, required=True)
    more(parser)
    _passphrase_options(parser)


def _passphrase_options(parser: Parser) -> None:
    ours = parser.add_argument_group("not in imgtool")
    ours.add_argument("--passphrase-env", metavar="NAME", help="variable that holds the passphrase of the key")
    ours.add_argument("--passphrase-file", metavar="FILE", type=Path, help="file that holds it in its first line")


def _keygen_options(parser: Parser) -> None:
    parser.add_argument("-t", "--type", metavar="type", choices=KEY_TYPES, required=True, help=", ".join(KEY_TYPES))
    parser.add_argument("-p", "--password", action="store_true", help="protect the key with a passphrase")
    parser.add_argument("--force", action="store_true", help="replace a key file that exists (not in imgtool)")


def _getpub_options(parser: Parser) -> None:
    parser.add_argument("-e", "--encoding", choices=("lang-c", "lang-rust", "pem", "raw"))
    parser.add_argument("-l", "--lang", choices=("c", "rust"), help="deprecated: use --encoding")
    parser.add_argument("-o", "--output", metavar="filename", type=Path)
    parser.add_argument("--name-suffix", metavar="SUFFIX", default="")


def _getpubhash_options(parser: Parser) -> None:
    parser.add_argument("-e", "--encoding", choices=("lang-c", "raw"), default="lang-c")
    parser.add_argument("-o", "--output", metavar="filename", type=Path)
    parser.add_argument("--name-suffix", metavar="SUFFIX", default="")


def _getpriv_options(parser: Parser) -> None:
    parser.add_argument("--minimal", action="store_true", help="only what decryption needs")
    parser.add_argument("-f", "--format", choices=("openssl", "pkcs8"))


def _keyinfo_options(parser: Parser) -> None:
    parser.add_argument("--require", choices=("private", "public"), help="leave with 2 if the key is the other kind")


def _sign_options(parser: Parser) -> None:
    number, address = _typed(values.number), _typed(values.unsigned32)
    _erased = _typed(values.one_of(0, 0xFF))
    parser.add_argument("infile", metavar="INFILE", type=Path)
    parser.add_argument("outfile", metavar="OUTFILE", type=Path)
    parser.add_argument("-k", "--key", metavar="filename", type=Path)
    parser.add_argument("-v", "--version", type=_typed(values.version), required=True)
    parser.add_argument("-H", "--header-size", type=number, required=True)
    parser.add_argument("-S", "--slot-size", type=number, required=True)
    parser.add_argument("--pad-header", action="store_true")
    parser.add_argument("--align", type=int, choices=(1, 2, 4, 8, 16, 32), default=1)
    parser.add_argument("--max-align", type=int, choices=(8, 16, 32))
    parser.add_argument("-M", "--max-sectors", type=int)
    parser.add_argument("--overwrite-only", action="store_true")
    parser.add_argument("--pad", action="store_true", help="pad to --slot-size, with a trailer")
    parser.add_argument("--confirm", action="store_true", help="--pad, and mark the image as confirmed")
    parser.add_argument("--test", action="store_true", help="--pad, and mark the image for a test")
    parser.add_argument("-R", "--erased-val", type=_erased, default=0xFF, metavar="0|0xff")
    parser.add_argument("-d", "--dependencies", type=_typed(values.dependencies), default=())
    parser.add_argument("-s", "--security-counter", type=_typed(values.security_counter))
    parser.add_argument("--custom-tlv", nargs=2, action="append", default=[], metavar=("tag", "value"))
    parser.add_argument("--custom-tlv-file", nargs=2, action="append", default=[], metavar=("tag", "filename"))
    parser.add_argument("--boot-record", metavar="sw_type")
    parser.add_argument("--non-bootable", action="store_true")
    parser.add_argument("-e", "--endian", choices=("little", "big"), default="little")
    parser.add_argument("-L", "--load-addr", type=address)
    parser.add_argument("-F", "--rom-fixed", type=address)
    parser.add_argument("-x", "--hex-addr", type=address)
    parser.add_argument("-E", "--encrypt", metavar="filename", type=Path)
    parser.add_argument("--encrypt-keylen", type=int, choices=(128, 256), default=128)
    parser.add_argument("--save-enctlv", action="store_true")
    parser.add_argument("-c", "--clear", action="store_true")
    _passphrase_options(parser)
    _options_not_there_yet(parser)


def _options_not_there_yet(parser: Parser) -> None:
    flags = ("--pad-sig", "--pure")
    one = ("--vid", "--cid", "--fix-sig", "--fix-sig-pubkey", "--sig-out", "--vector-to-sign")
    default = {"--public-key-format": "hash", "--sha": "auto", "--hmac-sha": "auto", "--compression": "disabled"}
    for name in flags:
        parser.add_argument(name, nargs=0, action=NotYet, help=argparse.SUPPRESS)
    for name in one:
        parser.add_argument(name, action=NotYet, help=argparse.SUPPRESS)
    for name, harmless in default.items():
        parser.add_argument(name, action=NotYet, harmless=(harmless,), help=argparse.SUPPRESS)


# --- the commands ---------------------------------------------------------------------------------------------------


def keygen(arguments: argparse.Namespace) -> int:
    """Make a private key; unlike imgtool, readable by its owner only, and never over one that exists."""
    passphrase = _passphrase(arguments)
    protect = arguments.password or passphrase.given
    make_key(arguments.type, arguments.key, passphrase if protect else None, force=arguments.force)
    return 0


def getpub(arguments: argparse.Namespace) -> int:
    """Write the public key."""
    if arguments.encoding and arguments.lang:
        raise UsageError("give either --encoding or --lang, not both")
    encoding = arguments.encoding or f"lang-{arguments.lang or 'c'}"
    _check_suffix(arguments.name_suffix, encoding)
    from smpdfu.image.export import public_key_bytes

    public = read_key(arguments.key, _passphrase(arguments)).public
    return _hand_out(public_key_bytes(public, encoding, arguments.name_suffix), arguments.output)


def getpubhash(arguments: argparse.Namespace) -> int:
    """Write the SHA-256 of the public key."""
    _check_suffix(arguments.name_suffix, arguments.encoding)
    from smpdfu.image.export import public_hash_bytes

    public = read_key(arguments.key, _passphrase(arguments)).public
    return _hand_out(public_hash_bytes(public, arguments.encoding, arguments.name_suffix), arguments.output)


def getpriv(arguments: argparse.Namespace) -> int:
    """Write the private key as a C array."""
    from smpdfu.image.export import private_key_bytes

    private = read_private(arguments.key, _passphrase(arguments), "getpriv")
    try:
        text = private_key_bytes(private, arguments.format, minimal=arguments.minimal)
    except SigningError as error:
        raise UsageError(str(error)) from None
    return _hand_out(text, None)


def keyinfo(arguments: argparse.Namespace) -> int:
    """Print ``private`` or ``public``; never asks for a passphrase."""
    from smpdfu.image.files import read_key_file
    from smpdfu.image.keys import PrivateKey

    passphrase = _passphrase(arguments)
    try:
        key = read_key_file(arguments.key, lambda: passphrase.ask(arguments.key) if passphrase.given else None)
    except KeyFileError as error:
        raise UsageError(str(error)) from None
    half = "private" if isinstance(key, PrivateKey) else "public"
    _say(half)
    if arguments.require not in (None, half):
        raise UsageError(f"{arguments.key} is a {half} key, but {arguments.require} was required")
    return 0


def sign(arguments: argparse.Namespace) -> int:
    """Sign, with imgtool's line about it."""
    from smpdfu.cli import signing
    from smpdfu.image.keys import PrivateKey

    _require_file(arguments.infile)
    spec, passphrase = _spec(arguments), _passphrase(arguments)
    signer = None if arguments.key is None else read_key(arguments.key, passphrase)
    if not isinstance(signer, PrivateKey | None):
        raise UsageError(f"{arguments.key} holds a public key; signing needs the private one")
    recipient = None if arguments.encrypt is None else read_key(arguments.encrypt, passphrase).public
    outfiles = (arguments.outfile,)
    signing.sign(signing.Order(spec, arguments.infile, outfiles, signer, recipient, arguments.hex_addr))
    if signer is not None:
        _say(f"image.py: sign the {'digest' if signer.kind.name == 'ed25519' else 'payload'}")
    return 0


def _spec(arguments: argparse.Namespace) -> ImageSpec:
    from dataclasses import fields

    from smpdfu.image.spec import ImageSpec

    given = vars(arguments)
    known = {field.name: given[field.name] for field in fields(ImageSpec) if given.get(field.name) is not None}
    try:
        known["custom_tlvs"] = values.custom_tlvs(arguments.custom_tlv, arguments.custom_tlv_file)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return ImageSpec(**known)


def verify(arguments: argparse.Namespace) -> int:
    """Check the hash and, with a key, the signature; imgtool looks at nothing else, and cannot decrypt."""
    from smpdfu.cli.signing import read_image
    from smpdfu.image.verify import verify as judge

    _require_file(arguments.imgfile)
    keys = () if arguments.key is None else (read_key(arguments.key, _passphrase(arguments)).public,)
    try:
        image = read_image(arguments.imgfile)
    except FormatError as error:
        return _invalid(BAD_TLV_MAGIC if error.offset else BAD_MAGIC, str(error))
    refusals = judge(image, keys).refusals
    for sentence, codes in BAD_IMAGE:
        for refusal in refusals:
            if refusal.code in codes:
                return _invalid(sentence, refusal.message)
    version = image.header.version
    _say("Image was correctly validated")
    _say(f"Image version: {version.major}.{version.minor}.{version.revision}+{version.build}")
    return _say(f"Image digest: {(image.hash or b'').hex()}")


def _invalid(sentence: str, reason: str) -> int:
    """imgtool's sentence on stdout, ours on stderr."""
    _say(sentence)
    sys.stderr.write(f"Error: {reason}\n")
    return EXIT_FAILED


def _require_file(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"there is no file {path}")


def dumpinfo(_: argparse.Namespace) -> int:
    """Say what does the same job here."""
    raise UsageError("smpdfu-imgtool does not have imgtool's dumpinfo yet; `smpdfu inspect FILE` shows the same")


def _check_suffix(suffix: str, encoding: str) -> None:
    if suffix and not encoding.startswith("lang-"):
        raise UsageError(f"--name-suffix is for names in source code; {encoding} has none")
    if not is_name_suffix(suffix):
        raise UsageError(f"--name-suffix {suffix!r} can have letters, digits and _ only")


def _hand_out(data: bytes, output: Path | None) -> int:
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        from smpdfu.image.files import write_file_atomic

        write_file_atomic(output, data)
    return 0


def _passphrase(arguments: argparse.Namespace) -> Passphrase:
    try:
        return Passphrase(arguments.passphrase_env, arguments.passphrase_file)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0
