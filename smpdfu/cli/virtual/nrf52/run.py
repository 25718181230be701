"""``virtual run`` for an nRF52: DFU over its wires until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.cli.virtual.options.wires import Wires
from smpdfu.cli.virtual.serving import (
    announce,
    check_ble_interval,
    no_bumble,
    serve_until_stopped,
    show_console,
    traffic_of,
)
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.nrf52.build import Transport
from smpdfu.virtual.store.nrf52 import Buttonless, StoredNrf52, open_nrf52
from smpdfu.virtual.wires.dfu_serial import DfuLine, serve_dfu_pty

Announce = Callable[[str], None]


async def serve_nrf52(
    names: list[str], out: Output, traffic: Traffic, each: list[Wires], *, flow_control: bool
) -> None:
    """Serve devices until Ctrl-C. Raises typer.BadParameter for a wire that an nRF52 does not have, ConnectError."""
    for wires in each:
        _refuse_other_wires(wires)
        check_ble_interval(wires)
    with ExitStack() as stack:
        devices = [stack.enter_context(open_nrf52(name)) for name in names]
        for device, wires in zip(devices, each, strict=True):
            _check_wire(device, wires)
        parts: list[Coroutine[None, None, None]] = []
        for number, (device, wires) in enumerate(zip(devices, each, strict=True)):
            show_console(device, device.name, among=len(devices))
            line = DfuLine(traffic_of(traffic, number), flow_control, device.recipe.time_factor)
            parts.append(_serving(device, wires, line, partial(announce, device.name, device, out)))
        await serve_until_stopped(parts)


def _check_wire(device: StoredNrf52, wires: Wires) -> None:
    """Raise typer.BadParameter for a wire that the bootloader is not built for."""
    is_ble = device.trust.build.transport is Transport.BLE
    if is_ble and (wires.ble_hci is None or wires.pty or wires.link is not None):
        raise typer.BadParameter(
            f"the bootloader of {device.name} is built for Bluetooth and has no serial line. Give --ble-hci without "
            "--pty and --link, or make a device with --dfu-wire uart"
        )
    if not is_ble and wires.ble_hci is not None:
        raise typer.BadParameter(
            f"the bootloader of {device.name} is built for a serial line and has no Bluetooth. Leave --ble-hci out, or "
            "make a device with --dfu-wire ble"
        )


def _serving(device: StoredNrf52, wires: Wires, line: DfuLine, announce: Announce) -> Coroutine[None, None, None]:
    if wires.ble_hci is None:
        return serve_dfu_pty(device, announce, wires.link, line)
    return _ble(device, wires.ble_hci, wires.ble_interval, announce)


async def _ble(device: StoredNrf52, moniker: str, interval_ms: float, announce: Announce) -> None:
    """Serve Bluetooth. The name that is announced is what the device advertises now."""
    try:
        from smpdfu.virtual.wires import dfu_gatt, peripheral, radio  # here: bumble is an optional package
    except ImportError as error:
        raise no_bumble() from error
    buttonless = device.recipe.buttonless
    presence = dfu_gatt.DfuPresence(
        time_factor=device.recipe.time_factor,
        buttonless=buttonless is not Buttonless.NONE,
        bonds=buttonless is Buttonless.BONDED,
    )

    def ready(hci: str | None) -> None:
        name = dfu_gatt.advertised_name(device)
        announce(f"ble:{name}?hci={hci}" if hci else f"ble:{name}")

    serve = partial(dfu_gatt.serve_dfu_ble, device, presence=presence)
    await peripheral.serve_at(moniker, serve, ready, radio.Radio(interval_ms))


def _refuse_other_wires(wires: Wires) -> None:
    others = {
        "--udp": wires.udp is not None,
        "--raw": wires.raw,
        "--raw-timeout": wires.raw_timeout is not None,
        "--shell-uart": wires.shell_uart,
        "--recovery": wires.recovery,
        "--copies": wires.copies is not None,
    }
    for option, is_given in others.items():
        if is_given:
            raise typer.BadParameter(f"{option} is for an nRF5340, not for an nRF52 with Secure DFU. Leave it out")
