"""Options of ``smpdfu virtual new`` for the build of both cores' bootloaders."""

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
    """What MCUboot compares to detect a downgrade."""

    VERSION = "version"
    COUNTER = "counter"


class KeyLength(StrEnum):
    """Length in bits of the key that encrypts a payload."""

    AES128 = "128"
    AES256 = "256"


class AddressChoice(StrEnum):
    """What MCUboot compares to detect an image for another slot."""

    HEADER = "header"
    VECTOR = "vector"
    NONE = "none"


class B0nChoice(StrEnum):
    """How b0n, the network core's bootloader, decides about new firmware."""

    KEYS = "keys"
    ACCEPTS = "accepts"
    REFUSES = "refuses"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class LoaderParts:
    """The release of MCUboot's loader, and the options of its build."""

    ncs: Annotated[
        str,
        typer.Option(
            "--ncs",
            metavar="RELEASE",
            rich_help_panel=_PANEL,
            help="The nRF Connect SDK release of MCUboot: 2.3, 3.4.0, 3.4.1, latest; or upstream, upstream-2.1.",
            autocompletion=completion.loader_names,
        ),
    ] = "latest"
    partitions: Annotated[
        PartitionsChoice,
        typer.Option(
            "--partitions",
            rich_help_panel=_PANEL,
            help="What laid out the flash: the Partition Manager or the devicetree (from NCS 3.3).",
        ),
    ] = PartitionsChoice.PM
    check_address: Annotated[
        AddressChoice | None,
        typer.Option(
            "--check-address",
            rich_help_panel=_PANEL,
            help="Make MCUboot erase images that are for another slot. It compares the load address in the "
            "header, or the reset vector. [default: what the release and the layout use]",
        ),
    ] = None
    net_version: Annotated[
        bool,
        typer.Option(
            "--net-version",
            rich_help_panel=_PANEL,
            help="With --prevent-downgrade: also compare the version of the network core's firmware "
            "(PCD_READ_NETCORE_APP_VERSION).",
        ),
    ] = False
    xip_split: Annotated[
        bool,
        typer.Option(
            "--xip-split", rich_help_panel=_PANEL, help="Build for an application with a second half in QSPI flash."
        ),
    ] = False
    app_cid: Annotated[
        str | None,
        typer.Option(
            "--app-cid", metavar="UUID", rich_help_panel=_PANEL, help="Class UUID of the application's images."
        ),
    ] = None
    net_cid: Annotated[
        str | None,
        typer.Option(
            "--net-cid", metavar="UUID", rich_help_panel=_PANEL, help="Class UUID of the network core's images."
        ),
    ] = None
    b0n: Annotated[
        B0nChoice,
        typer.Option(
            "--b0n",
            rich_help_panel=_PANEL,
            help="How the network core's bootloader answers new firmware: it checks the keys, accepts all, refuses "
            "all, or never answers.",
        ),
    ] = B0nChoice.KEYS

    def loader(self) -> Loader:
        """Return the loader. Raises typer.BadParameter if the release is unknown or stands for several loaders."""
        from smpdfu.loaders.releases import Partitions, releases_of
        from smpdfu.loaders.rules import Loader

        try:
            found = releases_of(self.ncs)
            if len(found) > 1:
                names = " or ".join(release.name for release in found)
                raise typer.BadParameter(f"--ncs {self.ncs} stands for {names}, and they differ. Choose one")
            return Loader(found[0], Partitions(str(self.partitions)))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


@dataclass(frozen=True, slots=True)
class BootParts:
    """The partition table, and how MCUboot is built for it."""

    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="LAYOUT|FILE",
            rich_help_panel=_PANEL,
            help="Partition table of both cores: a name, or a pm_static.yml or partitions.yml file.",
        ),
    ] = DEFAULT_LAYOUT
    mode: Annotated[
        Mode | None,
        typer.Option("--mode", rich_help_panel=_PANEL, help="How MCUboot updates. [default: what the layout uses]"),
    ] = None
    prevent_downgrade: Annotated[
        Prevention | None,
        typer.Option("--prevent-downgrade", rich_help_panel=_PANEL, help="Make MCUboot refuse older images."),
    ] = None
    rollback_protection: Annotated[
        bool,
        typer.Option(
            "--rollback-protection",
            rich_help_panel=_PANEL,
            help="Make MCUboot store the highest security counter and refuse lower ones.",
        ),
    ] = False
    encrypt_keylen: Annotated[
        KeyLength,
        typer.Option(
            "--encrypt-keylen",
            rich_help_panel=_PANEL,
            help="Length in bits of the content keys that MCUboot decrypts with --enc-key.",
        ),
    ] = KeyLength.AES128
    hmac_sha512: Annotated[
        bool,
        typer.Option(
            "--hmac-sha512", rich_help_panel=_PANEL, help="Accept only content keys that SHA-512 wrapped (X25519)."
        ),
    ] = False

    def recipe(self, parts: LoaderParts) -> Recipe:
        """Return a device without keys. Raises ``OSError`` if a file cannot be read, and typer.BadParameter."""
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
        """Return the layout's name and, if it is a file, the text of the file."""
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
