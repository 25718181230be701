"""``sign``: imgtool's options under their names, any number of files of one signing, and warnings imgtool has not."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

import typer

from smpdfu.cli.image.release_guard import Release
from smpdfu.cli.image.sign_input import check_input
from smpdfu.cli.image.sign_options import SignContent, SignFiles, SignKeys, SignSlot
from smpdfu.cli.keys.passphrase import read_key, read_signer
from smpdfu.cli.terminal import values
from smpdfu.cli.terminal.help import HelpCommand
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.errors import ImageError
from smpdfu.image.signers import shown_key

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.key_files import Order, Signed
    from smpdfu.cli.terminal.outputs import Name
    from smpdfu.image.signing.spec import ImageSpec


class SignCommand(HelpCommand):
    """Lets --custom-tlv and --custom-tlv-file take two words, again and again, which typer has no type for."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            if parameter.name in ("custom_tlv", "custom_tlv_file"):
                parameter.nargs = 2


def sign(
    files: SignFiles,
    who: SignKeys,
    content: SignContent,
    slot: SignSlot,
    guard: Release,
    replace: Replace,
    out: Output,
) -> None:
    """Sign an image and, with -E, encrypt it. It takes the options of imgtool's sign."""
    from smpdfu.cli.image import key_files

    outfiles, spec, secret = files.paths(), _spec(content, slot, who), who.source()
    outputs = outfiles if who.sig_out is None else (*outfiles, who.sig_out)
    replace.check(outputs, (files.infile, *_key_files(who), *_content_files(content)))
    if not files.any_input:
        check_input(files.infile, spec)
    recipient = None if who.encrypt is None else key_files.read_recipient(who.encrypt, secret)
    order = key_files.Order(spec, files.infile, outfiles, (), recipient, files.hex_addr, who.sig_out, replace.force)
    if who.vector_to_sign is not None:
        _hand_out(order, who, out)
        return
    order = _with_signers(order, who)
    known = [key_files.Caution("known-key", sentence) for sentence in guard.of_order(order)]
    signed = key_files.sign(order)
    cautions = (*known, *key_files.cautions(signed, slot.slot_address, check_link=not slot.no_link_check))
    for caution in cautions:
        out.warn(caution.message)
    out.emit(key_files.summary(signed) | {"warnings": cautions}, lambda: _told(signed, who))


def _key_files(who: SignKeys) -> tuple[Name, ...]:
    """What is read about keys."""
    return (*(who.key or ()), who.encrypt, who.fix_sig, who.fix_sig_pubkey, who.passphrase_file)


def _content_files(content: SignContent) -> tuple[Name, ...]:
    """What is read into the image's TLVs."""
    return (content.manifest, *(name for _, name in content.custom_tlv_file or ()))


def _with_signers(order: Order, who: SignKeys) -> Order:
    """The order with the keys that sign, each read once."""
    from dataclasses import replace

    from smpdfu.cli.image.key_files import given_signer

    keys, public = who.key or (), who.fix_sig_pubkey
    if who.sig_out is not None and not keys and who.fix_sig is None:
        raise typer.BadParameter("--sig-out has no signature to write: give a key with -k")
    if who.fix_sig is None:
        trusted = None if public is None else read_key(public, who.source()).public
        return replace(order, signers=tuple(read_signer(key, who.source(), trusted) for key in keys))
    if keys:
        raise typer.BadParameter("the signature is made with -k or comes from --fix-sig, not both")
    if public is None:
        raise typer.BadParameter("--fix-sig needs --fix-sig-pubkey: the public key that it is checked with")
    signer = given_signer(who.fix_sig, read_key(public, who.source()).public)
    return replace(order, spec=replace(order.spec, pad_sig=False), signers=(signer,))


def _hand_out(order: Order, who: SignKeys, out: Output) -> None:
    """The first pass of a signing elsewhere."""
    from smpdfu.cli.image.key_files import write_vector

    if who.fix_sig is not None or who.sig_out is not None:
        raise typer.BadParameter("--vector-to-sign writes what is to be signed: there is no signature yet")
    names = [*(who.key or ()), *([] if who.fix_sig_pubkey is None else [who.fix_sig_pubkey])]
    if len(names) > 1:
        raise typer.BadParameter("--vector-to-sign is for one key: give it with --fix-sig-pubkey (or -k)")
    public = read_key(names[0], who.source()).public if names else None
    what = cast("Any", who.vector_to_sign)
    write_vector(order, what, public)
    answer = {"vector_to_sign": what, "files": order.outfiles}
    out.emit(answer, lambda: facts([(f"{what} to sign", path) for path in order.outfiles]))


def _spec(content: SignContent, slot: SignSlot, who: SignKeys) -> ImageSpec:
    """The request as one value; typer.BadParameter when the options contradict each other."""
    from smpdfu.cli.image.manifest_file import read_manifest
    from smpdfu.image.signing.spec import ImageSpec

    known = {field.name for field in fields(ImageSpec)} - {"manifest"}
    given = {
        field.name: getattr(group, field.name)
        for group in (content, slot, who)
        for field in fields(group)
        if field.name in known and getattr(group, field.name) is not None
    }
    if slot.slot_address is not None and content.rom_fixed is None and content.load_addr is None:
        given["rom_fixed"] = slot.slot_address
    manifest = None if content.manifest is None else read_manifest(content.manifest, content.endian.value)
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
        *(("signed with", name) for name in names or ["nothing: the image has a hash only"]),
    ]
    if who.encrypt:
        how = "the code is left plain" if spec.clear else f"AES-{spec.encrypt_keylen}"
        pairs.append(("encrypted for", f"{who.encrypt} ({how})"))
    return facts(pairs + [("written", path) for path in signed.order.outfiles])
