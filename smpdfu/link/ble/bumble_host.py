"""bumble's host stack on a controller, for the host's end (``bumble_backend.py``) and for virtual devices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from bleak.exc import BleakError, BleakGATTProtocolError
from bumble import hci
from bumble.att import ATT_Error
from bumble.core import BaseBumbleError
from bumble.device import Connection, Device
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import TransportSink, TransportSource

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.ble.controllers import check_controller

logging.getLogger("bumble").addHandler(logging.NullHandler())  # it tells of trouble itself, on stderr, unless asked

PENDING_MAX = 8
"""Packets that may wait in the host for the controller; more would only make everything late."""
FAST_S = 1.0
"""How long a controller may take to say that it cannot."""
READY_S = 5.0
"""How long it may take to be reset and to tell what it can."""


@contextmanager
def bleak_errors() -> Iterator[None]:
    """Raise bleak's errors for bumble's. bumble cancels what waits for a device that is gone, and with it our task."""
    try:
        yield
    except asyncio.CancelledError:
        heed_cancellation()
        raise BleakError("Not connected") from None
    except ATT_Error as error:
        raise BleakGATTProtocolError(error.error_code) from error
    except (BaseBumbleError, hci.HCI_Error) as error:
        raise BleakError(str(error) or type(error).__name__) from error


async def room(connection: Connection, pending_max: int = PENDING_MAX) -> None:
    """Wait until at most ``pending_max`` packets are on their way. LinkLostError if the connection ends."""
    queue = connection.device.host.get_data_packet_queue(connection.handle)
    while is_up(connection) and queue is not None and queue.pending > pending_max:
        news = asyncio.Event()

        def tell(*_: object, news: asyncio.Event = news) -> None:
            news.set()

        queue.on("flow", tell)
        connection.on(Connection.EVENT_DISCONNECTION, tell)
        try:
            await news.wait()
        finally:
            queue.remove_listener("flow", tell)
            connection.remove_listener(Connection.EVENT_DISCONNECTION, tell)
    if not is_up(connection):
        raise LinkLostError(f"the link to {connection.peer_address} is lost")


def is_up(connection: Connection) -> bool:
    """Return whether ``connection`` lasts."""
    return connection.device.connections.get(connection.handle) is connection


class PatientHost(Host):
    """bumble's host, which takes it well when somebody does not wait for the result of a command any more."""

    def on_command_processed(self, event: hci.HCI_Command_Complete_Event[Any] | hci.HCI_Command_Status_Event) -> None:
        command, response = self.pending_command, self.pending_response
        for_another = command is not None and command.op_code != event.command_opcode
        if not for_another and (response is None or not response.done()):
            super().on_command_processed(event)


async def switch_on(device: Device, controller: str) -> None:
    """Make ``device`` ready. Raises ConnectError if its ``controller`` is none, or says nothing."""
    try:
        async with asyncio.timeout(READY_S):
            await device.power_on()
    except TimeoutError:
        why = f"{controller} does not answer: it is not a Bluetooth controller, or its serial port has another speed"
        raise ConnectError(why, controller) from None
    except (BaseBumbleError, hci.HCI_Error) as error:
        raise ConnectError(f"{controller} is not a Bluetooth controller: {error}", controller) from error
    heed_cancellation()


def heed_cancellation() -> None:
    """Raise CancelledError if this task is to end.

    bumble waits with ``asyncio.wait_for``: in Python 3.11 that forgets a cancellation that comes with the answer.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def switch_off(device: Device) -> None:
    """Have the controller stop everything, as far as it is still there."""
    with suppress(BaseBumbleError, hci.HCI_Error, TimeoutError):
        async with asyncio.timeout(FAST_S):
            await device.power_off()


@asynccontextmanager
async def hci_transport(moniker: str) -> AsyncIterator[tuple[TransportSource, TransportSink]]:
    """The controller that bumble calls ``moniker``, while the block runs. Raises ConnectError."""
    check_controller(moniker)
    try:
        transport = await open_transport(moniker)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # each kind of transport has its own
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConnectError(f"the Bluetooth controller {moniker!r} cannot be opened: {said}", moniker) from error
    try:
        yield transport.source, transport.sink
    finally:
        await transport.close()
        await asyncio.sleep(0)  # that is when asyncio lets go of a socket
