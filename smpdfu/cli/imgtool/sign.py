"""imgtool's ``sign``, which is also called ``create``."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.imgtool import words
from smpdfu.cli.imgtool.files import passphrase_of, require_file, say
from smpdfu.cli.imgtool.parser import UsageError
from smpdfu.cli.imgtool.refusals import of_tlvs
from smpdfu.cli.keys.passphrase import Passphrase, read_key, read_signer
from smpdfu.cli.terminal import values
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.signers import scheme_of
from smpdfu.image.signing import order as orders
from smpdfu.image.signing.order import Order, Signed
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.image.signing.two_pass import GivenSigner

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import SigningKey
    from smpdfu.image.keys.keys import PublicKey

LONGEST_TYPE = 12  # characters of --boot-record


def sign(arguments: Namespace) -> int:
    """Sign, with imgtool's lines about it; or write what is to be signed elsewhere."""
    _check_sign(arguments)
    spec = _spec(arguments)
    passphrase = passphrase_of(arguments)
    recipient = None if arguments.encrypt is None else read_recipient(Path(arguments.encrypt), passphrase)
    if arguments.hmac_sha == "512" and recipient is not None and recipient.kind.name == "ecdsa-p256":
        raise UsageError(words.HMAC_SHA512)
    outfiles = (arguments.outfile,)
    order = Order(spec, arguments.infile, outfiles, (), recipient, arguments.hex_addr, arguments.sig_out)
    if arguments.vector_to_sign is not None:
        orders.write_vector(order, arguments.vector_to_sign, _public(arguments, passphrase))
        return say(f"image.py: export {arguments.vector_to_sign}")
    order = _with_signer(order, arguments, passphrase)
    return _report(orders.sign(order))


def _check_sign(arguments: Namespace) -> None:
    """Raise UsageError for options that contradict each other."""
    require_file(arguments.infile, "Input file not found")
    if arguments.edt_config is not None:
        raise UsageError(
            "smpdfu-imgtool does not read --edt-config, because a pickle file is a program. Give --vid and --cid"
        )
    if arguments.pure and arguments.sha != "auto":
        raise UsageError(words.PURE_SHA)
    if arguments.load_addr and arguments.rom_fixed:
        raise UsageError(words.TWO_ADDRESSES)
    if arguments.boot_record is not None and len(arguments.boot_record) > LONGEST_TYPE:
        text = arguments.boot_record
        raise UsageError(words.LONG_TYPE.format(text=text, size=len(text)))
    if arguments.fix_sig is not None and arguments.fix_sig_pubkey is None:
        raise UsageError(words.NO_SIGNATURE_KEY)
    if arguments.fix_sig is not None and arguments.key is not None:
        raise UsageError(words.TWO_SIGNATURES)
    signed = arguments.key is not None or arguments.fix_sig is not None
    if arguments.sig_out is not None and (not signed or arguments.vector_to_sign is not None):
        raise UsageError("there is no signature to write to --sig-out. Give a key with -k")


def _public(arguments: Namespace, passphrase: Passphrase) -> PublicKey | None:
    """The public key of a signature that is made elsewhere; None if it is not known."""
    name = arguments.key or arguments.fix_sig_pubkey
    return None if name is None else read_key(name, passphrase).public


def _with_signer(order: Order, arguments: Namespace, passphrase: Passphrase) -> Order:
    if arguments.fix_sig is not None:
        key = read_key(arguments.fix_sig_pubkey, passphrase)
        if isinstance(key, PrivateKey) and key.kind.name != "ed25519":
            say("image.py: sign the payload")  # imgtool says so where the private key is at hand, and does not
        return order.with_signature(arguments.fix_sig, key.public)
    if arguments.key is None:
        return order
    return replace(order, signers=(_signer(arguments.key, passphrase),))


def _signer(key: str, passphrase: Passphrase) -> SigningKey:
    if scheme_of(key):
        return read_signer(key, passphrase)
    private = read_key(key, passphrase)
    if not isinstance(private, PrivateKey):
        raise UsageError(words.PUBLIC_ONLY)
    return private


def _report(signed: Signed) -> int:
    """Print imgtool's lines: one for each signature, and two about compression between them."""
    by_key = [one for one in signed.order.signers if not isinstance(one, GivenSigner)]
    line = f"image.py: sign the {'digest' if by_key[0].kind.name == 'ed25519' else 'payload'}" if by_key else ""
    lines = [line]
    if signed.order.spec.compression != "disabled":
        lines.append(f"compressed image size: {signed.compressed_size} bytes")
        lines.append(f"original image size: {len(signed.payload)} bytes")
        lines += [line] if signed.compressed else []
    for one in filter(None, lines):
        say(one)
    return 0


def _spec(arguments: Namespace) -> ImageSpec:
    given = vars(arguments)
    known = {field.name: given[field.name] for field in fields(ImageSpec) if given.get(field.name) is not None}
    if arguments.manifest is not None:
        from smpdfu.cli.image.manifest_file import read_manifest  # here: it reads YAML, which takes 20 ms to load

        known["manifest"] = read_manifest(arguments.manifest, arguments.endian)
    try:
        known["custom_tlvs"] = values.custom_tlvs(arguments.custom_tlv, arguments.custom_tlv_file)
    except ValueError as error:
        raise UsageError(of_tlvs(error)) from None
    return ImageSpec(**known)
