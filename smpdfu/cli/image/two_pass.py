"""Who signs: a key, or a signature that was made elsewhere; and the data for signing elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from smpdfu.cli.keys.passphrase import read_key, read_signer
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.image.signing.order import given_signer

if TYPE_CHECKING:
    from smpdfu.cli.keys.passphrase import Passphrase, SigningKey
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.signing.two_pass import GivenSigner


class SigningOptions(Protocol):
    """The options of a command that signs."""

    @property
    def key(self) -> Sequence[str] | None:
        """The keys that sign."""

    @property
    def fix_sig(self) -> Path | None:
        """A signature that was made elsewhere."""

    @property
    def fix_sig_pubkey(self) -> str | None:
        """The public key of that signature."""

    @property
    def sig_out(self) -> Path | None:
        """Where a signature goes."""

    def source(self) -> Passphrase:
        """Where the passphrase of a key comes from."""


Vector = Literal["payload", "digest"]


def signers(who: SigningOptions) -> tuple[SigningKey | GivenSigner, ...]:
    """The keys that sign, each read once; or the signature that was made elsewhere."""
    keys = who.key or ()
    public = who.fix_sig_pubkey
    if who.sig_out is not None and not keys and who.fix_sig is None:
        raise typer.BadParameter("--sig-out needs a signature: give a key with -k")
    if who.fix_sig is None:
        trusted = None if public is None else read_key(public, who.source()).public
        return tuple(read_signer(key, who.source(), trusted) for key in keys)
    if keys:
        raise typer.BadParameter("-k and --fix-sig exclude each other")
    if public is None:
        raise typer.BadParameter("--fix-sig needs --fix-sig-pubkey, the public key that checks it")
    return (given_signer(who.fix_sig, read_key(public, who.source()).public),)


def public_to_sign(who: SigningOptions) -> PublicKey | None:
    """The public half of the key that will sign elsewhere; None if it is not given."""
    if who.fix_sig is not None or who.sig_out is not None:
        raise typer.BadParameter(
            "--vector-to-sign goes neither with --fix-sig nor with --sig-out: there is no signature yet"
        )
    names = [*(who.key or ()), *([] if who.fix_sig_pubkey is None else [who.fix_sig_pubkey])]
    if len(names) > 1:
        raise typer.BadParameter("--vector-to-sign takes one key: give it with --fix-sig-pubkey or -k")
    return read_key(names[0], who.source()).public if names else None


def as_vector(what: str) -> Vector:
    """The word behind --vector-to-sign, which the parser has checked."""
    return cast("Vector", what)


def show_vector(what: Vector, files: Sequence[Path], out: Output) -> None:
    """Say where the data to sign are."""
    answer = {"vector_to_sign": what, "files": files}
    out.emit(answer, lambda: facts([(f"{what} to sign", path) for path in files]))
