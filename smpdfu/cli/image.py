"""Images: ``sign``, ``verify``, ``inspect``, and with them the key commands."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from smpdfu.cli import keys, values
from smpdfu.cli.imageoptions import OutFiles, SignContent, SignKeys, SignSlot, SlotOptions, VerifyKeys
from smpdfu.cli.keys import PANEL
from smpdfu.cli.options import command
from smpdfu.cli.passphrase import read_key, read_private
from smpdfu.cli.show import Output, facts
from smpdfu.errors import ImageError, SmpdfuError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.signing import Signed
    from smpdfu.image.spec import ImageSpec


class SignCommand(TyperCommand):
    """Lets --custom-tlv and --custom-tlv-file take two words, again and again, which typer has no type for."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            if parameter.name in ("custom_tlv", "custom_tlv_file"):
                parameter.nargs = 2


def register(app: typer.Typer) -> None:
    """Add the image and key commands to ``app``."""
    command(app, "sign", rich_help_panel=PANEL, cls=SignCommand)(sign)
    command(app, "verify", rich_help_panel=PANEL)(verify)
    command(app, "inspect", rich_help_panel=PANEL)(inspect)
    keys.register(app)


def sign(
    infile: Annotated[Path, typer.Argument(metavar="IN", help="Firmware: .bin or .hex, known by its content.")],
    files: OutFiles,
    who: SignKeys,
    content: SignContent,
    slot: SignSlot,
    out: Output,
) -> None:
    """Sign an image and, with -E, encrypt it; takes the options of imgtool's sign."""
    from smpdfu.cli import signing

    spec, passphrase, outfiles = _spec(content, slot, who), who.source(), files.paths()
    signer = None if who.key is None else read_private(who.key, passphrase, "signing")
    recipient = None if who.encrypt is None else read_key(who.encrypt, passphrase).public
    signed = signing.sign(signing.Order(spec, infile, outfiles, signer, recipient, files.hex_addr))
    cautions = signing.cautions(signed, slot.slot_address, check_link=not slot.no_link_check)
    for caution in cautions:
        out.warn(caution.message)
    out.emit(signing.summary(signed) | {"warnings": cautions}, lambda: _told(signed, who))


def _spec(content: SignContent, slot: SignSlot, who: SignKeys) -> ImageSpec:
    """The request as one value; typer.BadParameter when the options contradict each other."""
    from smpdfu.image.spec import ImageSpec

    known = {field.name for field in fields(ImageSpec)}
    given = {
        field.name: getattr(group, field.name)
        for group in (content, slot, who)
        for field in fields(group)
        if field.name in known and getattr(group, field.name) is not None
    }
    try:
        custom = values.custom_tlvs(content.custom_tlv or (), content.custom_tlv_file or ())
        return ImageSpec(**given, custom_tlvs=custom)
    except (ImageError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _told(signed: Signed, who: SignKeys) -> RenderableType:
    image, spec = signed.image, signed.order.spec
    pairs: list[tuple[str, object]] = [
        ("version", image.header.version),
        ("size", f"{image.size_bytes} bytes"),
        ("hash", image.hash),
        ("signed with", who.key or "nothing: the image has a hash only"),
    ]
    if who.encrypt:
        how = "the code is left plain" if spec.clear else f"AES-{spec.encrypt_keylen}"
        pairs.append(("encrypted for", f"{who.encrypt} ({how})"))
    return facts(pairs + [("written", path) for path in signed.order.outfiles])


def verify(
    file: Annotated[Path, typer.Argument(metavar="IMG", help="Signed image: .bin or .hex, known by its content.")],
    who: VerifyKeys,
    slot: SlotOptions,
    out: Output,
) -> None:
    """Tell whether a bootloader would take an image, and if not, why not."""
    from smpdfu.cli import judging

    case = judging.judge(file, who.key or (), who.enc_key, who.source(), slot)
    for warning in case.verdict.warnings:
        out.warn(warning.message)
    refusal = case.refusal()
    out.emit(_with_error(case.summary(), refusal), case.told)
    _leave(refusal, out)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file.")],
    out: Output,
) -> None:
    """Tell what a file is, what is in it, and what can be done with it."""
    from smpdfu.cli import inspection

    found = inspection.inspect(file)
    out.emit(_with_error(found.summary(), found.fault), found.told)
    _leave(found.fault, out)


def _leave(error: SmpdfuError | None, out: Output) -> None:
    """Leave with the exit code of ``error``, if there is one; with --json the one document has told it already."""
    if error is None:
        return
    if not out.json:
        raise error
    from smpdfu.cli.main import exit_code

    raise typer.Exit(exit_code(error))


def _with_error(answer: dict[str, Any], error: SmpdfuError | None) -> dict[str, Any]:
    if error is None:
        return answer
    from smpdfu.cli.main import error_document

    return answer | {"error": error_document(error)}
