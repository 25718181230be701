"""``smpdfu-imgtool``: our signer behind the command line of imgtool 2.5.0, for build systems that call it by path.

Names, defaults, files, stdout and exit codes are imgtool's, and so are the few sentences it writes to stdout: they are
part of what others parse. Where imgtool ends in a traceback, one sentence and exit code 1 stand instead. What differs
is in ``docs/reference/imgtool-differences.md``. argparse and not typer: builds start this program often, and it must
start fast.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from smpdfu.cli.imgtool import words as imgtool_words
from smpdfu.cli.imgtool.parser import EXIT_USAGE, KEY_TYPES, parse
from smpdfu.cli.keys.passphrase import Passphrase, key_bytes, make_key, read_key, read_signer
from smpdfu.cli.terminal import values
from smpdfu.cli.terminal.streams import replace_closed_streams
from smpdfu.errors import ImageError, KeyFileError, PassphraseError, SigningError, SmpdfuError, WrongPassphraseError
from smpdfu.image.signers import scheme_of
from smpdfu.untrusted import text as door

if TYPE_CHECKING:
    from argparse import Namespace

    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.signing.order import Order, Signed
    from smpdfu.image.signing.spec import ImageSpec

SPOKEN_VERSION = "2.5.0"  # the imgtool whose command line this is

EXIT_FAILED = 1
LONGEST_TYPE = 12  # characters of --boot-record
EXIT_INTERRUPTED = 130

# What imgtool says to each fault that its `verify` knows, and for which of our judge's codes; the first counts.
PURE_SIGNATURE = "Image signature over image:"
BAD_MAGIC = "Invalid image magic; is this an MCUboot image?"
BAD_TLV_MAGIC = "Invalid TLV info magic; is this an MCUboot image?"
BAD_IMAGE = (
    ("Key type does not match TLV record", {"no-hash"}),
    ("Image has an invalid hash", {"hash", "encrypted", "encryption-key"}),
    ("No signature found for the given key", {"not-signed", "unknown-key", "signature"}),
)


class UsageError(Exception):
    """The command line cannot be carried out; exit code 2."""


def run() -> NoReturn:
    """Run the command line and leave with imgtool's exit code."""
    replace_closed_streams()
    command, arguments = parse(sys.argv[1:])
    try:
        sys.exit(ACTIONS[command](arguments))
    except UsageError as error:
        _fail(EXIT_USAGE, str(error))
    except ImageError as error:
        _fail(EXIT_USAGE, imgtool_words.of_image(error, arguments))
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
    sys.stderr.write(f"Error: {door.line(sentence)}\n")
    sys.exit(code)


# --- keys -----------------------------------------------------------------------------------------------------------


def keygen(arguments: Namespace) -> int:
    """Make a private key; unlike imgtool, readable by its owner only, and never over one that exists."""
    passphrase = _passphrase(arguments)
    protect = arguments.password or passphrase.given
    kind = arguments.type or _asked_type()
    make_key(kind, Path(arguments.key), passphrase if protect else None, force=arguments.force)
    return 0


def _asked_type() -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"what type of key? Give one with --type: {', '.join(KEY_TYPES)}")
    kind = input(f"Type ({', '.join(KEY_TYPES)}): ")
    if kind not in KEY_TYPES:
        raise UsageError(f"{kind!r} is not one of {', '.join(KEY_TYPES)}")
    return kind


def getpub(arguments: Namespace) -> int:
    """Write the public key."""
    if arguments.encoding and arguments.lang:
        raise UsageError(imgtool_words.TWO_ENCODINGS)
    encoding = arguments.encoding or f"lang-{arguments.lang or 'c'}"
    if arguments.name_suffix and not encoding.startswith("lang-"):
        raise UsageError(imgtool_words.SUFFIX_OF_CODE)
    from smpdfu.image.keys.export import public_key_bytes

    public = read_key(arguments.key, _passphrase(arguments)).public
    return _hand_out(public_key_bytes(public, encoding, arguments.name_suffix), arguments.output)


def getpubhash(arguments: Namespace) -> int:
    """Write the SHA-256 of the public key."""
    if arguments.name_suffix and arguments.encoding == "raw":
        raise UsageError(imgtool_words.SUFFIX_OF_C)
    from smpdfu.image.keys.export import public_hash_bytes

    public = read_key(arguments.key, _passphrase(arguments)).public
    return _hand_out(public_hash_bytes(public, arguments.encoding, arguments.name_suffix), arguments.output)


def getpriv(arguments: Namespace) -> int:
    """Write the private key as a C array."""
    from smpdfu.image.keys.export import private_key_bytes
    from smpdfu.image.keys.keys import PrivateKey

    private = read_key(arguments.key, _passphrase(arguments))
    if not isinstance(private, PrivateKey):
        raise UsageError(f"{imgtool_words.PRIVATE_NEEDED} ({arguments.key} holds a public key)")
    try:
        text = private_key_bytes(private, arguments.format, minimal=arguments.minimal)
    except SigningError as error:
        sentence = imgtool_words.NO_PRIVATE_FORM.get(private.kind.short_name)
        theirs = "" if sentence is None else f"{sentence.format(form=arguments.format)}: "
        raise UsageError(f"{theirs}{error}") from None
    return _hand_out(text, None)


def keyinfo(arguments: Namespace) -> int:
    """Print ``private`` or ``public``; never asks for a passphrase."""
    from smpdfu.image.files import parse_key
    from smpdfu.image.keys.keys import PrivateKey

    passphrase, name = _passphrase(arguments), arguments.key
    try:
        key = parse_key(key_bytes(name), name, lambda: passphrase.ask(name) if passphrase.given else None)
    except WrongPassphraseError as error:
        raise UsageError(str(error)) from None
    except PassphraseError:
        raise UsageError(imgtool_words.NO_PASSPHRASE.format(key=arguments.key)) from None
    except KeyFileError as error:
        raise UsageError(str(error)) from None
    half = "private" if isinstance(key, PrivateKey) else "public"
    _say(half)
    if arguments.require not in (None, half):
        raise UsageError(imgtool_words.WRONG_HALF.format(key=arguments.key, half=half, wanted=arguments.require))
    return 0


# --- images ---------------------------------------------------------------------------------------------------------


def sign(arguments: Namespace) -> int:
    """Sign, with imgtool's lines about it; or write what is to be signed elsewhere."""
    from smpdfu.cli.image.key_files import read_recipient
    from smpdfu.image.signing import order as orders

    _check_sign(arguments)
    spec, passphrase = _spec(arguments), _passphrase(arguments)
    recipient = None if arguments.encrypt is None else read_recipient(Path(arguments.encrypt), passphrase)
    if arguments.hmac_sha == "512" and recipient is not None and recipient.kind.name == "ecdsa-p256":
        raise UsageError(imgtool_words.HMAC_SHA512)
    outfiles = (arguments.outfile,)
    order = orders.Order(spec, arguments.infile, outfiles, (), recipient, arguments.hex_addr, arguments.sig_out)
    if arguments.vector_to_sign is not None:
        orders.write_vector(order, arguments.vector_to_sign, _public(arguments, passphrase))
        return _say(f"image.py: export {arguments.vector_to_sign}")
    order = _with_signer(order, arguments, passphrase)
    return _tell(orders.sign(order))


def _check_sign(arguments: Namespace) -> None:
    """What contradicts itself whatever the files hold."""
    _require_file(arguments.infile, "Input file not found")
    if arguments.edt_config is not None:
        raise UsageError("--edt-config is not taken: a pickle file is a program; give --vid and --cid")
    if arguments.pure and arguments.sha != "auto":
        raise UsageError(imgtool_words.PURE_SHA)
    if arguments.load_addr and arguments.rom_fixed:
        raise UsageError(imgtool_words.TWO_ADDRESSES)
    if arguments.boot_record is not None and len(arguments.boot_record) > LONGEST_TYPE:
        text = arguments.boot_record
        raise UsageError(imgtool_words.LONG_TYPE.format(text=text, size=len(text)))
    if arguments.fix_sig is not None and arguments.fix_sig_pubkey is None:
        raise UsageError(imgtool_words.NO_SIGNATURE_KEY)
    if arguments.fix_sig is not None and arguments.key is not None:
        raise UsageError(imgtool_words.TWO_SIGNATURES)
    signed = arguments.key is not None or arguments.fix_sig is not None
    if arguments.sig_out is not None and (not signed or arguments.vector_to_sign is not None):
        raise UsageError("--sig-out has no signature to write")


def _public(arguments: Namespace, passphrase: Passphrase) -> PublicKey | None:
    """Who will sign elsewhere, where that is known."""
    name = arguments.key or arguments.fix_sig_pubkey
    return None if name is None else read_key(name, passphrase).public


def _with_signer(order: Order, arguments: Namespace, passphrase: Passphrase) -> Order:
    from dataclasses import replace

    from smpdfu.image.keys.keys import PrivateKey

    if arguments.fix_sig is not None:
        key = read_key(arguments.fix_sig_pubkey, passphrase)
        if isinstance(key, PrivateKey) and key.kind.name != "ed25519":
            _say("image.py: sign the payload")  # imgtool says so where the private key is at hand, and does not
        return order.with_signature(arguments.fix_sig, key.public)
    if arguments.key is None:
        return order
    return replace(order, signers=(_signer(arguments.key, passphrase),))


def _signer(key: str, passphrase: Passphrase) -> SigningKey:
    from smpdfu.image.keys.keys import PrivateKey

    if scheme_of(key):
        return read_signer(key, passphrase)
    private = read_key(key, passphrase)
    if not isinstance(private, PrivateKey):
        raise UsageError(imgtool_words.PUBLIC_ONLY)
    return private


def _tell(signed: Signed) -> int:
    """imgtool's lines: one for each time that it signs, and two about compression between them."""
    from smpdfu.image.signing.two_pass import GivenSigner

    by_key = [one for one in signed.order.signers if not isinstance(one, GivenSigner)]
    line = f"image.py: sign the {'digest' if by_key[0].kind.name == 'ed25519' else 'payload'}" if by_key else ""
    lines = [line]
    if signed.order.spec.compression != "disabled":
        lines.append(f"compressed image size: {signed.compressed_size} bytes")
        lines.append(f"original image size: {len(signed.payload)} bytes")
        lines += [line] if signed.compressed else []
    for one in filter(None, lines):
        _say(one)
    return 0


def _spec(arguments: Namespace) -> ImageSpec:
    from dataclasses import fields

    from smpdfu.image.signing.spec import ImageSpec

    given = vars(arguments)
    known = {field.name: given[field.name] for field in fields(ImageSpec) if given.get(field.name) is not None}
    if arguments.manifest is not None:
        from smpdfu.cli.image.manifest_file import read_manifest

        known["manifest"] = read_manifest(arguments.manifest, arguments.endian)
    try:
        known["custom_tlvs"] = values.custom_tlvs(arguments.custom_tlv, arguments.custom_tlv_file)
    except ValueError as error:
        raise UsageError(imgtool_words.of_tlvs(error)) from None
    return ImageSpec(**known)


def verify(arguments: Namespace) -> int:
    """Check the hash and, with a key, the signature; imgtool looks at nothing else, and cannot decrypt."""
    from smpdfu.image.image_file import read_image
    from smpdfu.image.loader_build import LoaderBuild
    from smpdfu.image.tlv import TlvType
    from smpdfu.image.verification.verify import verify as judge

    _require_file(arguments.imgfile, f"Image file {arguments.imgfile} not found")
    keys = () if arguments.key is None else (read_key(arguments.key, _passphrase(arguments)).public,)
    try:
        image = read_image(arguments.imgfile)
    except ImageError as error:  # whatever else it is: imgtool looks for the magic only
        return _invalid(BAD_TLV_MAGIC if getattr(error, "offset", None) else BAD_MAGIC, str(error))
    build = LoaderBuild(hw_key=image.tlv(TlvType.PUBKEY) is not None)  # imgtool does not look at who is named
    verdict = judge(image, keys, build=build)
    refusals = verdict.refusals + verdict.unchecked
    for sentence, codes in BAD_IMAGE:
        for refusal in refusals:
            if refusal.code in codes:
                return _invalid(sentence, refusal.message)
    version = image.header.version
    _say("Image was correctly validated")
    _say(f"Image version: {version.major}.{version.minor}.{version.revision}+{version.build}")
    pure = image.tlv(TlvType.ED25519) if keys and image.tlv(TlvType.SIG_PURE) else None
    return _say(f"Image digest: {(image.hash or b'').hex()}" if pure is None else f"{PURE_SIGNATURE} {pure.hex()}")


def _invalid(sentence: str, reason: str) -> int:
    """imgtool's sentence on stdout, ours on stderr."""
    _say(sentence)
    sys.stderr.write(f"Error: {door.line(reason)}\n")
    return EXIT_FAILED


def dumpinfo(arguments: Namespace) -> int:
    """Print what is in an image, or write it to a file."""
    from smpdfu.cli.imgtool import dumpinfo as words
    from smpdfu.cli.terminal.outputs import check_outputs

    _require_file(arguments.imgfile, f"Image file not found ({arguments.imgfile})")
    if arguments.outfile is not None:
        check_outputs([arguments.outfile], [arguments.imgfile])
    info, whole = words.read_info(arguments.imgfile)
    if not whole:
        _say("Warning: the trailer magic value is invalid!")
    form = arguments.format or ("human" if arguments.outfile is None else "yaml")
    text = {"human": words.as_text, "yaml": words.as_yaml, "json": words.as_json}[form](info)
    if form == "json" and arguments.outfile is None:
        text += "\n"
    return _hand_out(text.encode(), arguments.outfile)


def version(_: Namespace) -> int:
    """Print the version of imgtool."""
    return _say(SPOKEN_VERSION)


# --- common ---------------------------------------------------------------------------------------------------------


def _require_file(path: Path, sentence: str) -> None:
    if not path.exists():
        raise UsageError(sentence)


def _hand_out(data: bytes, output: Path | None) -> int:
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        from smpdfu.image.files import write_file_atomic

        write_file_atomic(output, data)
    return 0


def _passphrase(arguments: Namespace) -> Passphrase:
    try:
        return Passphrase(arguments.passphrase_env, arguments.passphrase_file)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0


ACTIONS = {
    "create": sign,
    "dumpinfo": dumpinfo,
    "getpriv": getpriv,
    "getpub": getpub,
    "getpubhash": getpubhash,
    "keygen": keygen,
    "keyinfo": keyinfo,
    "sign": sign,
    "verify": verify,
    "version": version,
}
