"""Options of ``smpdfu virtual new`` that say how the bootloaders of both cores are built."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.cli.app import completion
from smpdfu.cli.update.bootloader_options import PartitionsChoice

if TYPE_CHECKING:
    from smpdfu.loaders.rules import Loader
    from smpdfu.virtual.store.devices import Recipe

DEFAULT_LAYOUT = "nrf5340dk-staged"
_PANEL = "Bootloader"


class Mode(StrEnum):
    """How MCUboot updates."""

    SCRATCH = "swap-scratch"
    MOVE = "swap-move"
    OFFSET = "swap-offset"
    OVERWRITE = "overwrite-only"


class Prevention(StrEnum):
    """By what MCUboot tells a downgrade."""

    VERSION = "version"
    COUNTER = "counter"


class KeyLength(StrEnum):
    """Bits of the key that a payload is encrypted with."""

    AES128 = "128"
    AES256 = "256"


class AddressChoice(StrEnum):
    """By what MCUboot finds out that an image is not for its slot."""

    HEADER = "header"
    VECTOR = "vector"
    NONE = "none"


class B0nChoice(StrEnum):
    """How the network core's bootloader decides."""

    KEYS = "keys"
    ACCEPTS = "accepts"
    REFUSES = "refuses"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class LoaderParts:
    """Which loader MCUboot has, and what its build switches on."""

    ncs: Annotated[
        str,
        typer.Option(
            "--ncs",
            metavar="RELEASE",
            rich_help_panel=_PANEL,
            help="nRF Connect SDK release of MCUboot: 2.3, 3.4.0, 3.4.1, latest; or upstream, upstream-2.1.",
            autocompletion=completion.loader_names,
        ),
    ] = "latest"
    partitions: Annotated[
        PartitionsChoice,
        typer.Option(
            "--partitions",
            rich_help_panel=_PANEL,
            help="Who laid out its flash: Partition Manager, as in the layouts here, or devicetree (from NCS 3.3).",
        ),
    ] = PartitionsChoice.PM
    check_address: Annotated[
        AddressChoice | None,
        typer.Option(
            "--check-address",
            rich_help_panel=_PANEL,
            help="Erase images for another place: by the header's load address, or the reset vector. Default: as usual "
            "for the release and layout.",
        ),
    ] = None
    net_version: Annotated[
        bool,
        typer.Option(
            "--net-version",
            rich_help_panel=_PANEL,
            help="With --prevent-downgrade, compare the network firmware's version (PCD_READ_NETCORE_APP_VERSION).",
        ),
    ] = False
    xip_split: Annotated[
        bool,
        typer.Option("--xip-split", rich_help_panel=_PANEL, help="The application has a second half in QSPI flash."),
    ] = False
    app_cid: Annotated[
        str | None,
        typer.Option(
            "--app-cid", metavar="UUID", rich_help_panel=_PANEL, help="Tell images by class UUID: the application's."
        ),
    ] = None
    net_cid: Annotated[
        str | None,
        typer.Option(
            "--net-cid", metavar="UUID", rich_help_panel=_PANEL, help="Tell images by class UUID: the network core's."
        ),
    ] = None
    b0n: Annotated[
        B0nChoice,
        typer.Option(
            "--b0n",
            rich_help_panel=_PANEL,
            help="How the network core's bootloader decides on new firmware: by its keys, always alike, or not at all.",
        ),
    ] = B0nChoice.KEYS

    def loader(self) -> Loader:
        """The loader. Raises typer.BadParameter for a release that is not known, or leaves a choice."""
        from smpdfu.loaders.releases import Partitions, releases_of
        from smpdfu.loaders.rules import Loader

        try:
            found = releases_of(self.ncs)
            if len(found) > 1:
                names = " or ".join(release.name for release in found)
                raise typer.BadParameter(f"--ncs {self.ncs} can be {names}, which differ: say which")
            return Loader(found[0], Partitions(str(self.partitions)))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


@dataclass(frozen=True, slots=True)
class BootParts:
    """The partition table, and how MCUboot was built for it."""

    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="LAYOUT|FILE",
            rich_help_panel=_PANEL,
            help="Partition table of both cores: one by name, or a pm_static.yml or partitions.yml.",
        ),
    ] = DEFAULT_LAYOUT
    mode: Annotated[
        Mode | None,
        typer.Option("--mode", rich_help_panel=_PANEL, help="How MCUboot updates, if not as usual for the layout."),
    ] = None
    prevent_downgrade: Annotated[
        Prevention | None,
        typer.Option("--prevent-downgrade", rich_help_panel=_PANEL, help="Let MCUboot refuse what is older."),
    ] = None
    rollback_protection: Annotated[
        bool,
        typer.Option(
            "--rollback-protection", rich_help_panel=_PANEL, help="Let MCUboot remember the highest security counter."
        ),
    ] = False
    encrypt_keylen: Annotated[
        KeyLength,
        typer.Option("--encrypt-keylen", rich_help_panel=_PANEL, help="Bits of the keys that --enc-key unwraps."),
    ] = KeyLength.AES128
    hmac_sha512: Annotated[
        bool,
        typer.Option("--hmac-sha512", rich_help_panel=_PANEL, help="Take content keys that SHA-512 wrapped (X25519)."),
    ] = False

    def recipe(self, parts: LoaderParts) -> Recipe:
        """A device without any keys. Raises ``OSError`` for a file that cannot be read, and typer.BadParameter."""
        from smpdfu.virtual.boot.build import AddressCheck, BootOptions
        from smpdfu.virtual.boot.netcore import B0n
        from smpdfu.virtual.store.devices import Recipe

        name, table = self._table()
        options = BootOptions(
            downgrade_prevention=self.prevent_downgrade is not None,
            by_counter=self.prevent_downgrade is Prevention.COUNTER,
            rollback_protection=self.rollback_protection,
            loader=parts.loader(),
            check_address=None if parts.check_address is None else AddressCheck(str(parts.check_address)),
            reads_net_version=parts.net_version,
            xip_split=parts.xip_split,
            app_class=_uuid("--app-cid", parts.app_cid),
            net_class=_uuid("--net-cid", parts.net_cid),
            b0n=B0n(str(parts.b0n)),
            hmac_sha512=self.hmac_sha512,
        )
        return Recipe(
            name,
            partitions=table,
            mode=None if self.mode is None else str(self.mode),
            content_key_size=int(self.encrypt_keylen) // 8,
            options=options,
        )

    def _table(self) -> tuple[str, str | None]:
        """The layout's name and, where it is a file, the text of that."""
        from smpdfu.untrusted.files import read_start
        from smpdfu.virtual.chip.layout import LAYOUTS
        from smpdfu.virtual.chip.partitions import LARGEST_FILE

        if self.layout in LAYOUTS or not self.layout.endswith((".yml", ".yaml")):
            return self.layout, None
        return Path(self.layout).stem, read_start(self.layout, LARGEST_FILE + 1).decode(errors="replace")


def _uuid(option: str, value: str | None) -> bytes:
    from smpdfu.image.ids import class_id

    if value is None:
        return b""
    try:
        return class_id(value, None)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
