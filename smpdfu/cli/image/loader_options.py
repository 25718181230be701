"""The options of ``verify`` about how the bootloader was built, and about what may stay unchecked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

from smpdfu.cli.image.options import flag, option
from smpdfu.cli.terminal import values

if TYPE_CHECKING:
    from smpdfu.image.loader_build import LoaderBuild

_PANEL = "How the bootloader was built (without these: what some builds refuse is a warning)"
_BACKENDS = ("tinycrypt", "mbedtls", "psa")


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """What of the bootloader's build decides which images it takes."""

    hw_key: Annotated[
        bool,
        flag("--hw-key", text="With MCUBOOT_HW_KEY: it wants the whole key in the image, not its hash.", panel=_PANEL),
    ] = False
    backend: Annotated[
        str | None,
        option(
            "--backend",
            parse=values.word_of(*_BACKENDS),
            metavar="|".join(_BACKENDS),
            text="What checks ECDSA signatures. mbedTLS refuses padded ones (sign --pad-sig).",
            panel=_PANEL,
        ),
    ] = None
    no_encryption: Annotated[
        bool, flag("--no-encryption", text="It cannot decrypt: it refuses every header with an AES flag.", panel=_PANEL)
    ] = False
    hmac_sha: Annotated[
        str | None,
        option(
            "--hmac-sha",
            parse=values.word_of("256", "512"),
            metavar="256|512",
            text="Hash function that wraps X25519 content keys.",
            panel=_PANEL,
        ),
    ] = None
    image_pairs: Annotated[
        int | None,
        option(
            "--image-pairs",
            parse=values.one_of(*range(1, 9)),
            metavar="NUMBER",
            text="Number of its slot pairs. It reads dependencies only if there are several.",
            panel=_PANEL,
        ),
    ] = None
    require_all_checks: Annotated[
        bool,
        flag("--require-all-checks", text="Exit with 3 if something could not be checked for want of a key."),
    ] = False

    def build(self) -> LoaderBuild:
        """The same as one value."""
        from smpdfu.image.loader_build import LoaderBuild

        return LoaderBuild(
            hw_key=self.hw_key,
            encryption=False if self.no_encryption else None,
            hmac_sha=cast("Any", self.hmac_sha),
            backend=cast("Any", self.backend),
            image_pairs=self.image_pairs,
        )
