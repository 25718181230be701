"""``virtual new`` for a layout with NSIB: the keys of b0, its counter, and MCUboot in S0 or S1."""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.cli.keys.passphrase import Passphrase, read_key
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.virtual.options.b0 import B0Parts
from smpdfu.image.files import Firmware, read_firmware
from smpdfu.image.keys.keys import PrivateKey, PublicKey
from smpdfu.virtual.chip.layout import Layout
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.store.b0 import install_b0


@dataclass(frozen=True, slots=True)
class B0Given:
    """What the options name, read: ``seal_key`` seals a sample MCUboot where none is given."""

    keys: tuple[PublicKey, ...]
    mcuboot: Firmware | None
    seal_key: PrivateKey | None
    slots: int


def read_b0(parts: B0Parts, layout: Layout) -> B0Given | None:
    """Read the files of the options; None for a layout without NSIB. Raises typer.BadParameter, ImageError, OSError."""
    if layout.nsib is None:
        if parts != B0Parts():
            raise typer.BadParameter(
                f"layout {layout.name} has no b0. Give --layout nrf5340dk-b0, or leave out --b0-key, --mcuboot and "
                "--b0-counter-slots"
            )
        return None
    terminal = Passphrase()
    keys = [read_key(path, terminal) for path in parts.b0_key or ()]
    first = keys[0] if keys else None
    if parts.mcuboot is None and first is not None and not isinstance(first, PrivateKey):
        raise typer.BadParameter(
            "the first --b0-key is a public key, so smpdfu cannot seal a sample MCUboot with it. Give the private key, "
            "or an MCUboot that is sealed already: --mcuboot FILE"
        )
    if parts.b0_counter_slots % 2:
        raise typer.BadParameter(f"--b0-counter-slots {parts.b0_counter_slots} is odd. The number of slots is even")
    mcuboot = None if parts.mcuboot is None else read_firmware(parts.mcuboot)
    seal_key = first if isinstance(first, PrivateKey) else None
    return B0Given(tuple(key.public for key in keys), mcuboot, seal_key, parts.b0_counter_slots)


def place_b0(device: VirtualNrf5340, given: B0Given) -> None:
    """Write all of it into the flash of a device. Raises ImageError and SigningError."""
    mcuboot = None if given.mcuboot is None else given.mcuboot.flat()
    install_b0(device, given.keys, mcuboot, given.seal_key, given.slots)
