"""Options of ``smpdfu virtual`` that say what a device's SMP server bears, and what the wire to it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from smpdfu.virtual.line.load import Resources
    from smpdfu.virtual.line.traffic import Traffic

_SERVER, _WIRE = "SMP server", "Wire"


class Erasing(StrEnum):
    """When the pages of a slot are erased that an upload needs."""

    FIRST = "first"
    PROGRESSIVE = "progressive"


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What the application's SMP server is built with, and how fast the chip is."""

    buffers: Annotated[
        int, typer.Option("--buffers", metavar="N", min=1, rich_help_panel=_SERVER, help="Buffers for SMP messages.")
    ] = 4
    buffer_size: Annotated[
        int,
        typer.Option(
            "--buffer-size", metavar="BYTES", min=64, max=0xFFFF, rich_help_panel=_SERVER, help="Size of each buffer."
        ),
    ] = 2048
    uart_ring: Annotated[
        int | None,
        typer.Option(
            "--uart-ring",
            metavar="BYTES",
            min=1,
            rich_help_panel=_SERVER,
            help="What the UART keeps while the server is busy; more is lost. Without: it keeps all.",
        ),
    ] = None
    time_factor: Annotated[
        float,
        typer.Option(
            "--time-factor",
            metavar="X",
            min=0.0,
            rich_help_panel=_SERVER,
            help="How long requests and flash take: 1 as on the chip, 0 no time.",
        ),
    ] = 0.0
    erase: Annotated[
        Erasing,
        typer.Option("--erase", rich_help_panel=_SERVER, help="When an upload erases: all first, or as it goes on."),
    ] = Erasing.FIRST

    allow_erase_pending: Annotated[
        bool,
        typer.Option(
            "--allow-erase-pending", rich_help_panel=_SERVER, help="Take uploads and erases while an image is pending."
        ),
    ] = False

    def resources(self) -> Resources:
        """As the device takes it."""
        from smpdfu.virtual.line.load import Resources
        from smpdfu.virtual.server.server import Buffers

        buffers = Buffers(self.buffer_size, self.buffers)
        progressively = self.erase is Erasing.PROGRESSIVE
        return Resources(
            buffers,
            self.uart_ring,
            self.time_factor,
            progressively,
            allow_erase_pending=self.allow_erase_pending,
        )


@dataclass(frozen=True, slots=True)
class WireParts:
    """What happens to bytes on their way, in each direction."""

    baudrate: Annotated[
        int | None,
        typer.Option(
            "--baudrate", metavar="N", min=1, rich_help_panel=_WIRE, help="Let bytes pass as slowly as a UART does."
        ),
    ] = None
    latency: Annotated[
        float,
        typer.Option("--latency", metavar="MS", min=0.0, rich_help_panel=_WIRE, help="Time each way, in milliseconds."),
    ] = 0.0
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="MS",
            min=0.0,
            rich_help_panel=_WIRE,
            help="Let bytes leave only every so many milliseconds.",
        ),
    ] = 0.0
    loss: Annotated[
        float,
        typer.Option(
            "--loss", metavar="PERCENT", min=0.0, max=100.0, rich_help_panel=_WIRE, help="Messages that get lost."
        ),
    ] = 0.0
    duplicate: Annotated[
        float,
        typer.Option(
            "--duplicate",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Datagrams that come twice.",
        ),
    ] = 0.0
    reorder: Annotated[
        float,
        typer.Option(
            "--reorder", metavar="PERCENT", min=0.0, max=100.0, rich_help_panel=_WIRE, help="Datagrams that come late."
        ),
    ] = 0.0
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", rich_help_panel=_WIRE, help="Another seed, other losses.")
    ] = 0

    def traffic(self, *, stream: bool) -> Traffic:
        """As the device takes it; a usage error for what a ``stream`` of bytes cannot do."""
        from smpdfu.virtual.line.traffic import Traffic

        if stream and (self.duplicate or self.reorder):
            raise typer.BadParameter(
                "only a network does so, a serial line or Bluetooth does not duplicate or reorder: use --duplicate and "
                "--reorder with --udp alone"
            )
        return Traffic(
            baudrate=self.baudrate,
            latency_s=self.latency / 1000,
            interval_s=self.interval / 1000,
            loss=self.loss / 100,
            duplication=self.duplicate / 100,
            reordering=self.reorder / 100,
            seed=self.seed,
        )


def device_number(text: str | None) -> str | None:
    """The number of the chip in hex; None: it is not told. Raises typer.BadParameter."""
    from smpdfu.virtual.server.application import DEVICE_ID_SIZE

    if text is None:
        import secrets

        return secrets.token_hex(DEVICE_ID_SIZE)
    if text == "none":
        return None
    digits = text.lower().removeprefix("0x")
    if len(digits) != 2 * DEVICE_ID_SIZE or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(f"--device-id {text!r} is not a number of {2 * DEVICE_ID_SIZE} hex digits, or none")
    return digits
