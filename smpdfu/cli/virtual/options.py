"""Options of ``smpdfu virtual`` for the resources of a device's SMP server, and for the wire to it."""

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
    """When an upload erases the pages of its slot."""

    FIRST = "first"
    PROGRESSIVE = "progressive"


@dataclass(frozen=True, slots=True)
class ServerParts:
    """The build of the application's SMP server, and the speed of the chip."""

    buffers: Annotated[
        int,
        typer.Option(
            "--buffers", metavar="N", min=1, rich_help_panel=_SERVER, help="Number of buffers for SMP messages."
        ),
    ] = 4
    buffer_size: Annotated[
        int,
        typer.Option(
            "--buffer-size",
            metavar="BYTES",
            min=64,
            max=0xFFFF,
            rich_help_panel=_SERVER,
            help="Size of each buffer in bytes.",
        ),
    ] = 2048
    uart_ring: Annotated[
        int | None,
        typer.Option(
            "--uart-ring",
            metavar="BYTES",
            min=1,
            rich_help_panel=_SERVER,
            help="Bytes that the UART keeps while the server is busy. It loses the rest. [default: no limit]",
        ),
    ] = None
    time_factor: Annotated[
        float,
        typer.Option(
            "--time-factor",
            metavar="X",
            min=0.0,
            rich_help_panel=_SERVER,
            help="Time that requests and flash take: 1 as on the chip, 0 none.",
        ),
    ] = 0.0
    erase: Annotated[
        Erasing,
        typer.Option(
            "--erase", rich_help_panel=_SERVER, help="When an upload erases its slot: all of it first, or page by page."
        ),
    ] = Erasing.FIRST

    allow_erase_pending: Annotated[
        bool,
        typer.Option(
            "--allow-erase-pending",
            rich_help_panel=_SERVER,
            help="Accept uploads and erases while an image is pending.",
        ),
    ] = False

    def resources(self) -> Resources:
        """Return the options in the form that the device takes."""
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
    """What the wire does to the bytes, in each direction."""

    baudrate: Annotated[
        int | None,
        typer.Option(
            "--baudrate",
            metavar="N",
            min=1,
            rich_help_panel=_WIRE,
            help="Speed of the line in bits per second. [default: no limit]",
        ),
    ] = None
    latency: Annotated[
        float,
        typer.Option(
            "--latency", metavar="MS", min=0.0, rich_help_panel=_WIRE, help="Delay in each direction in milliseconds."
        ),
    ] = 0.0
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="MS",
            min=0.0,
            rich_help_panel=_WIRE,
            help="Send bytes only once in this number of milliseconds.",
        ),
    ] = 0.0
    loss: Annotated[
        float,
        typer.Option(
            "--loss",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Share of the messages that are lost.",
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
            help="Share of the datagrams that arrive twice.",
        ),
    ] = 0.0
    reorder: Annotated[
        float,
        typer.Option(
            "--reorder",
            metavar="PERCENT",
            min=0.0,
            max=100.0,
            rich_help_panel=_WIRE,
            help="Share of the datagrams that arrive after the next one.",
        ),
    ] = 0.0
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            rich_help_panel=_WIRE,
            help="Seed of the random losses. The same seed gives the same losses.",
        ),
    ] = 0

    def traffic(self, *, stream: bool) -> Traffic:
        """Return the options in the form that the device takes; typer.BadParameter for what a ``stream`` cannot do."""
        from smpdfu.virtual.line.traffic import Traffic

        if stream and (self.duplicate or self.reorder):
            raise typer.BadParameter(
                "only UDP duplicates or reorders messages. Use --duplicate and --reorder with --udp alone, without "
                "a serial line or Bluetooth"
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
    """Return the number of the chip in hex; None if the firmware does not report one. Raises typer.BadParameter."""
    from smpdfu.virtual.server.application import DEVICE_ID_SIZE

    if text is None:
        import secrets

        return secrets.token_hex(DEVICE_ID_SIZE)
    if text == "none":
        return None
    digits = text.lower().removeprefix("0x")
    if len(digits) != 2 * DEVICE_ID_SIZE or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(f"--device-id {text!r} is wrong. Give {2 * DEVICE_ID_SIZE} hex digits, or none")
    return digits
