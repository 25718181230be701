"""``sign``: calls the library with what the options say, and shows what was made."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from smpdfu.cli.image.key_files import read_recipient
from smpdfu.cli.image.two_pass import as_vector, public_to_sign, show_vector, signers
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal import values
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.errors import ImageError
from smpdfu.image.files import read_firmware
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
    firmware = read_firmware(files.infile)
    if not files.any_input and (objection := orders.objection_to(order, firmware)):
        raise ImageError(f"{files.infile} is no firmware: {objection} (--any-input signs it all the same)")
    order = replace(order, recipient=None if who.encrypt is None else read_recipient(who.encrypt, secret))
    if who.vector_to_sign is not None:
        what = as_vector(who.vector_to_sign)
        orders.write_vector(order, what, public_to_sign(who), firmware)
        show_vector(what, order.outfiles, out)
        return
    padded = spec.pad_sig and who.fix_sig is None  # a given signature is used as it is
    order = replace(order, spec=replace(spec, pad_sig=padded), signers=signers(who))
    known = key_warnings(order.signers, order.recipient, release=guard.release)
    signed = orders.sign(order, firmware)
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
