"""From the options of ``smpdfu virtual new`` to the device that they describe."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from smpdfu.cli.keys.passphrase import Passphrase, read_key, read_private
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.virtual.options.boot import BootParts, EntranceChoice, LoaderParts, Prevention
from smpdfu.cli.virtual.options.device import Erasing, Parts, ServerParts
from smpdfu.image.ids import class_id
from smpdfu.loaders.releases import Partitions, releases_of
from smpdfu.loaders.rules import Loader
from smpdfu.untrusted.files import read_start
from smpdfu.virtual.boot.build import AddressCheck, BootOptions, Entrance
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.chip.partitions import LARGEST_FILE
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.application import DEVICE_ID_SIZE
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from smpdfu.virtual.server.server import Buffers
from smpdfu.virtual.store.devices import Recipe


def recipe(parts: Parts, boot: BootParts, loader: LoaderParts, server: ServerParts) -> Recipe:
    """Return the device that the options describe.

    Raises typer.BadParameter for a wrong option, SigningError for a wrong key, and OSError for a file that cannot be
    read.
    """
    terminal = Passphrase()
    trusted, provisioned = (
        tuple(read_key(path, terminal).public.to_pem().decode() for path in paths or ())
        for paths in (parts.key, parts.net_key)
    )
    secret = None
    if parts.enc_key is not None:
        secret = read_private(parts.enc_key, terminal, "decryption by the bootloader").to_private_pem().decode()
    blank = _blank(boot, loader)
    resources = _resources(server)
    number = _device_number(parts.device_id)
    return replace(
        blank, sign_keys=trusted, net_keys=provisioned, enc_key=secret, resources=resources, device_id=number
    )


def _blank(boot: BootParts, parts: LoaderParts) -> Recipe:
    """Return a device without keys. Raises ``OSError`` if a file cannot be read, and typer.BadParameter."""
    name, table = _table(boot.layout)
    options = BootOptions(
        downgrade_prevention=boot.prevent_downgrade is not None,
        by_counter=boot.prevent_downgrade is Prevention.COUNTER,
        rollback_protection=boot.rollback_protection,
        loader=_loader(parts),
        check_address=None if parts.check_address is None else AddressCheck(str(parts.check_address)),
        reads_net_version=parts.net_version,
        xip_split=parts.xip_split,
        app_class=_uuid("--app-cid", parts.app_cid),
        net_class=_uuid("--net-cid", parts.net_cid),
        b0n=B0n(str(parts.b0n)),
        hmac_sha512=boot.hmac_sha512,
        entrances=tuple(Entrance(str(one)) for one in parts.loader_entrance or EntranceChoice),
    )
    return Recipe(
        name,
        partitions=table,
        mode=None if boot.mode is None else str(boot.mode),
        content_key_size=int(boot.encrypt_keylen) // 8,
        options=options,
    )


def _table(layout: str) -> tuple[str, str | None]:
    """Return the layout's name and, if it is a file, the text of the file."""
    if layout in LAYOUTS or not layout.endswith((".yml", ".yaml")):
        return layout, None
    return Path(layout).stem, read_start(layout, LARGEST_FILE + 1).decode(errors="replace")


def _loader(parts: LoaderParts) -> Loader:
    """Return the loader. Raises typer.BadParameter if the release is unknown or stands for several loaders."""
    try:
        found = releases_of(parts.ncs)
        if len(found) > 1:
            names = " or ".join(release.name for release in found)
            raise typer.BadParameter(f"--ncs {parts.ncs} stands for {names}, and they differ. Choose one")
        return Loader(found[0], Partitions(str(parts.partitions)))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _uuid(option: str, value: str | None) -> bytes:
    if value is None:
        return b""
    try:
        return class_id(value, None)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def _resources(server: ServerParts) -> Resources:
    """Return the options in the form that the device takes."""
    buffers = Buffers(server.buffer_size, server.buffers)
    progressively = server.erase is Erasing.PROGRESSIVE
    return Resources(
        buffers,
        server.uart_ring,
        server.time_factor,
        progressively,
        allow_erase_pending=server.allow_erase_pending,
        confirms_others=ConfirmsOthers(str(server.confirm_others)),
        serves_images=not server.no_images,
    )


def _device_number(text: str | None) -> str | None:
    """Return the number of the chip in hex; None if the firmware does not report one. Raises typer.BadParameter."""
    if text is None:
        return secrets.token_hex(DEVICE_ID_SIZE)
    if text == "none":
        return None
    digits = text.lower().removeprefix("0x")
    if len(digits) != 2 * DEVICE_ID_SIZE or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(f"--device-id {text!r} is wrong. Give {2 * DEVICE_ID_SIZE} hex digits, or none")
    return digits
