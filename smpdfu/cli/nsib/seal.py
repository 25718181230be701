"""``seal``: calls the library with what the options say, and shows what was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.image.two_pass import as_vector, public_to_sign, show_vector, signers
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.image.image_file import is_hex
from smpdfu.image.nsib.order import Sealed, SealOrder, seal_file, write_vector
from smpdfu.image.nsib.provision import key_hash
from smpdfu.image.nsib.seal import SEARCH_BYTES, raw_public_key
from smpdfu.image.signers import shown_key
from smpdfu.image.signing.release import key_warnings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.options import Release
    from smpdfu.cli.image.sign_options import ImageFiles
    from smpdfu.cli.nsib.options import SealKeys, SealPlace
    from smpdfu.cli.terminal.outputs import Replace


def seal_files(
    files: ImageFiles, who: SealKeys, place: SealPlace, guard: Release, replacing: Replace, out: Output
) -> None:
    """Seal, and show what was made; or write what is to be signed elsewhere."""
    outfiles = files.paths()
    if len(who.key or ()) > 1:
        raise typer.BadParameter("a seal has one signature: give one key")
    outputs = outfiles if who.sig_out is None else (*outfiles, who.sig_out)
    inputs = (files.infile, *(who.key or ()), who.fix_sig, who.fix_sig_pubkey, who.passphrase_file)
    replacing.check(outputs, inputs)
    order = SealOrder(files.infile, outfiles, place.address, place.offset, who.sig_out, replacing.force)
    if who.vector_to_sign is not None:
        public = public_to_sign(who)
        if public is not None:
            raw_public_key(public)  # refuse a key of another type before anybody signs
        what = as_vector(who.vector_to_sign)
        write_vector(order, what)
        show_vector(what, outfiles, out)
        return
    keys = signers(who)
    if not keys:
        raise typer.BadParameter("a seal needs a key: give one with -k, or a signature with --fix-sig")
    warnings = [{"code": "known-key", "message": one} for one in key_warnings(keys, None, release=guard.release)]
    sealed = seal_file(order, keys[0])
    warnings += _warnings(sealed)
    for warning in warnings:
        out.warn(warning["message"])
    out.emit(_summary(sealed) | {"warnings": warnings}, lambda: _told(sealed, who))


def _warnings(sealed: Sealed) -> list[dict[str, str]]:
    if sealed.far <= SEARCH_BYTES:
        return []
    text = (
        f"the seal is {sealed.far} bytes behind the firmware: b0 and b0n look for it at most {SEARCH_BYTES} bytes "
        "behind, unless they are built otherwise"
    )
    return [{"code": "seal-offset", "message": text}]


def _told(sealed: Sealed, who: SealKeys) -> RenderableType:
    names = [*map(shown_key, who.key or ()), *([] if who.fix_sig is None else [who.fix_sig])]
    return facts(
        [
            ("firmware", f"version {sealed.info.version}, {sealed.info.size} bytes at 0x{sealed.info.address:08x}"),
            ("hash", sealed.seal.hash),
            ("seal", f"at 0x{sealed.start:08x}"),
            *(("sealed with", name) for name in names),
            ("key hash", key_hash(sealed.seal.public_key)),
            *(("written", path) for path in sealed.order.outfiles),
        ]
    )


def _summary(sealed: Sealed) -> dict[str, Any]:
    """What was made, for scripts."""
    return {
        "version": sealed.info.version,
        "address": sealed.info.address,
        "size_bytes": sealed.info.size,
        "hash": sealed.seal.hash,
        "seal_address": sealed.start,
        "key_hash": key_hash(sealed.seal.public_key),
        "public_key": sealed.seal.public_key,
        "signature": sealed.seal.signature,
        "files": [{"path": path, "format": "hex" if is_hex(path) else "bin"} for path in sealed.order.outfiles],
    }
