"""``sign``: calls the library with what the options say, and shows what was made."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

import typer

from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.keys.passphrase import read_key, read_signer
from smpdfu.cli.terminal import values
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.errors import ImageError
from smpdfu.image.image_file import is_hex
from smpdfu.image.signers import shown_key
from smpdfu.image.signing import order as orders
from smpdfu.image.signing.cautions import Caution, cautions
from smpdfu.image.signing.order import Order, Signed
from smpdfu.image.signing.release import key_warnings
from smpdfu.image.signing.spec import ImageSpec

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.options import Release
    from smpdfu.cli.image.sign_options import SignContent, SignFiles, SignKeys, SignSlot
    from smpdfu.cli.terminal.outputs import Name, Replace


def sign_files(
    files: SignFiles,
    who: SignKeys,
    content: SignContent,
    slot: SignSlot,
    guard: Release,
    replacing: Replace,
    out: Output,
) -> None:
    """Sign, and show what was made; or write what is to be signed elsewhere."""
    outfiles = files.paths()
    spec = _spec(content, slot, who)
    secret = who.source()
    outputs = outfiles if who.sig_out is None else (*outfiles, who.sig_out)
    replacing.check(outputs, (files.infile, *_key_files(who), *_content_files(content)))
    order = Order(spec, files.infile, outfiles, (), None, files.hex_addr, who.sig_out, replacing.force)
    if not files.any_input and (objection := orders.objection_to(order)):
        raise ImageError(f"{files.infile} is no firmware: {objection} (--any-input signs it all the same)")
    order = replace(order, recipient=None if who.encrypt is None else read_recipient(who.encrypt, secret))
    if who.vector_to_sign is not None:
        _hand_out(order, who, out)
        return
    order = _with_signers(order, who)
    known = key_warnings(order.signers, order.recipient, release=guard.release)
    signed = orders.sign(order)
    found = cautions(signed, slot.slot_address, check_link=not slot.no_link_check)
    warnings = [*({"code": "known-key", "message": one} for one in known), *map(_warning, found)]
    for warning in warnings:
        out.warn(warning["message"])
    out.emit(_summary(signed) | {"warnings": warnings}, lambda: _told(signed, who))


# By the code of a caution: the options that help.
_ADVICE = {
    "no-load-address": ". Give the start of its slot with --slot-address {slot}",
    "large-for-swap-move": " (say --swap-mode)",
    "full-key": " (`smpdfu verify --hw-key`)",
    "padded-signature": " (only MCUboot before 1.5 needs --pad-sig)",
}


def _warning(found: Caution) -> dict[str, str]:
    slot = "ADDRESS" if found.slot_start is None else f"0x{found.slot_start:x}"
    return {"code": found.code, "message": found.message + _ADVICE.get(found.code, "").format(slot=slot)}


def _key_files(who: SignKeys) -> tuple[Name, ...]:
    """What is read about keys."""
    return (*(who.key or ()), who.encrypt, who.fix_sig, who.fix_sig_pubkey, who.passphrase_file)


def _content_files(content: SignContent) -> tuple[Name, ...]:
    """What is read into the image's TLVs."""
    return (content.manifest, *(name for _, name in content.custom_tlv_file or ()))


def _with_signers(order: Order, who: SignKeys) -> Order:
    """The order with the keys that sign, each read once."""
    keys = who.key or ()
    public = who.fix_sig_pubkey
    if who.sig_out is not None and not keys and who.fix_sig is None:
        raise typer.BadParameter("--sig-out needs a signature: give a key with -k")
    if who.fix_sig is None:
        trusted = None if public is None else read_key(public, who.source()).public
        return replace(order, signers=tuple(read_signer(key, who.source(), trusted) for key in keys))
    if keys:
        raise typer.BadParameter("-k and --fix-sig exclude each other")
    if public is None:
        raise typer.BadParameter("--fix-sig needs --fix-sig-pubkey, the public key that checks it")
    return order.with_signature(who.fix_sig, read_key(public, who.source()).public)


def _hand_out(order: Order, who: SignKeys, out: Output) -> None:
    """The first pass of a signing elsewhere."""
    if who.fix_sig is not None or who.sig_out is not None:
        raise typer.BadParameter(
            "--vector-to-sign goes neither with --fix-sig nor with --sig-out: there is no signature yet"
        )
    names = [*(who.key or ()), *([] if who.fix_sig_pubkey is None else [who.fix_sig_pubkey])]
    if len(names) > 1:
        raise typer.BadParameter("--vector-to-sign takes one key: give it with --fix-sig-pubkey or -k")
    public = read_key(names[0], who.source()).public if names else None
    what = cast("Any", who.vector_to_sign)
    orders.write_vector(order, what, public)
    answer = {"vector_to_sign": what, "files": order.outfiles}
    out.emit(answer, lambda: facts([(f"{what} to sign", path) for path in order.outfiles]))


def _spec(content: SignContent, slot: SignSlot, who: SignKeys) -> ImageSpec:
    """The request as one value; typer.BadParameter when the options contradict each other."""
    known = {field.name for field in fields(ImageSpec)} - {"manifest"}
    given = {
        field.name: getattr(group, field.name)
        for group in (content, slot, who)
        for field in fields(group)
        if field.name in known and getattr(group, field.name) is not None
    }
    if slot.slot_address is not None and content.rom_fixed is None and content.load_addr is None:
        given["rom_fixed"] = slot.slot_address
    manifest = None
    if content.manifest is not None:
        from smpdfu.cli.image.manifest_file import read_manifest  # here: it loads the judge of images, and few need it

        manifest = read_manifest(content.manifest, content.endian.value)
    try:
        custom = values.custom_tlvs(content.custom_tlv or (), content.custom_tlv_file or ())
        return ImageSpec(**given, manifest=manifest, custom_tlvs=custom)
    except (ImageError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _told(signed: Signed, who: SignKeys) -> RenderableType:
    image, spec = signed.image, signed.order.spec
    names = [*map(shown_key, who.key or ()), *([] if who.fix_sig is None else [who.fix_sig])]
    pairs: list[tuple[str, object]] = [
        ("version", image.header.version),
        ("size", f"{image.size_bytes} bytes"),
        ("hash", image.hash),
        *(("signed with", name) for name in names or ["no key: the image has only a hash"]),
    ]
    if who.encrypt:
        how = "the code is left plain" if spec.clear else f"AES-{spec.encrypt_keylen}"
        pairs.append(("encrypted for", f"{who.encrypt} ({how})"))
    return facts(pairs + [("written", path) for path in signed.order.outfiles])


def _summary(signed: Signed) -> dict[str, Any]:
    """What was made, for scripts."""
    image, order = signed.image, signed.order
    return {
        "version": image.header.version,
        "size_bytes": image.size_bytes,
        "slot_size_bytes": order.spec.slot_size,
        "hash": image.hash,
        "signature": order.signers[0].kind.name if order.signers else None,
        "keyhash": order.signers[0].keyhash if order.signers else None,
        "signatures": [{"type": one.kind.name, "keyhash": one.keyhash} for one in order.signers],
        "encryption": f"aes-{order.spec.encrypt_keylen}" if order.recipient else None,
        "clear": bool(order.recipient) and order.spec.clear,
        "files": [{"path": path, "format": "hex" if is_hex(path) else "bin"} for path in order.outfiles],
    }
