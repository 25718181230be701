"""The air around virtual devices: Bluetooth LE controllers that hear each other, as slow as a real radio or at once.

The host stacks on top are bumble's, or any other that speaks HCI: ``serve_hci`` offers a controller of this air to
every process that connects by TCP. So another program on this computer reaches a virtual device through the whole of
GATT, ATT, L2CAP and HCI, and only the antenna is missing.

How a connection is paced (``Radio``), in the model's own time, which a busy computer delays and then catches up with:

- Both ends meet at every multiple of the connection interval, if one of them has something to send.
- They take turns, a packet of up to 251 bytes (27 without data length extension) each way, an empty one where there is
  nothing to say, 150 us between any two; an event ends when nobody has anything left, when the next turn would not end
  before the next event, or after ``packets_per_event`` turns. What is said in answer to the last turn is too late.
- A turn that is lost (``loss``) ends the event; its packets are sent again at the next one.
- A controller holds ``buffers`` packets of its host, who learns of each when it has arrived: HCI flow control.

Source: Bluetooth Core Specification 5.4, volume 6 part B, sections 2.1, 2.4 and 4.5; bumble's ``controller.py`` for
what is above the link layer. Not modelled: scan windows, supervision (a lost peer is noticed at once), other traffic.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from math import ceil
from random import Random

from bumble import hci, ll
from bumble.controller import Connection, Controller
from bumble.core import InvalidArgumentError, InvalidPacketError
from bumble.link import LocalLink
from bumble.transport.common import PacketParser, TransportSink

logging.getLogger("bumble").addHandler(logging.NullHandler())  # it tells of trouble itself, on stderr, unless asked

GAP_S = 150e-6
"""Between two packets (T_IFS)."""
LINK_LOST = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
_UNREAD_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Radio:
    """How fast the air is. ``interval_ms`` 0: as fast as this computer.

    ``phy_mbit_s`` is 1 or 2, ``dle`` the data length extension, ``packets_per_event`` a controller's own limit (None:
    the interval), ``buffers`` the packets that a controller holds for its host, ``loss`` the probability that a turn is
    lost; its dice are a matter of ``seed``.
    """

    interval_ms: float = 0.0
    phy_mbit_s: int = 2
    dle: bool = True
    packets_per_event: int | None = None
    buffers: int = 12
    loss: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.phy_mbit_s not in (1, 2):
            raise ValueError(f"a PHY has 1 or 2 Mbit/s, not {self.phy_mbit_s}")
        if self.interval_ms and not 7.5 <= self.interval_ms <= 4000:
            raise ValueError(f"a connection interval is 7.5 to 4000 ms, or 0 for none, not {self.interval_ms:g}")
        if (self.packets_per_event is not None and self.packets_per_event < 1) or self.buffers < 1:
            raise ValueError("an event has room for one packet at least, and so has a controller")
        if not 0 <= self.loss < 1:
            raise ValueError(f"a probability is at least 0 and below 1, not {self.loss}")

    @property
    def packet_max(self) -> int:
        """Payload bytes of a packet on the air."""
        return 251 if self.dle else 27

    @property
    def interval_s(self) -> float:
        return self.interval_ms / 1000

    def air_s(self, payload: int) -> float:
        """Seconds that a packet of ``payload`` bytes takes: preamble, access address, header, payload, CRC."""
        return (self.phy_mbit_s + 4 + 2 + payload + 3) * 8e-6 / self.phy_mbit_s

    def turn_s(self, there: int, back: int) -> float:
        """Seconds of a packet each way, with the gaps after both."""
        return self.air_s(there) + self.air_s(back) + 2 * GAP_S


AT_ONCE = Radio()


class Air(LocalLink):
    """The controllers that hear each other. Belongs to the event loop that runs when it is made."""

    def __init__(self, radio: Radio = AT_ONCE) -> None:
        LocalLink.__init__(self)
        self.radio = radio
        self._dice = Random(radio.seed)
        self._meetings: dict[frozenset[str], _Meeting] = {}
        self._numbers = count()

    def controller(self, host: TransportSink | None = None) -> RadioController:
        """A controller in this air; ``host`` gets its HCI packets."""
        return RadioController(f"controller {next(self._numbers)}", self, host)

    def remove(self, controller: RadioController) -> None:
        """Take a controller out of the air; its peers lose their connections."""
        controller.hci_sink = None
        controller.go_silent()
        self.controllers.discard(controller)

    def cut(self) -> None:
        """Both ends of every connection lose it, as when they are carried apart."""
        for controller in self.controllers:
            if isinstance(controller, RadioController):
                controller.lose_connections()

    def send(self, controller: RadioController, connection: Connection, packet: hci.HCI_AclDataPacket) -> None:
        """Carry a packet to the other end, when its time comes."""
        ends = _ends(connection)
        meeting = self._meetings.get(ends)
        if meeting is None:
            meeting = self._meetings[ends] = _Meeting(self.radio, self._dice)
        meeting.put(controller, packet)

    def forget(self, connection: Connection) -> None:
        """A connection has ended: what was on its way is gone."""
        meeting = self._meetings.pop(_ends(connection), None)
        if meeting is not None:
            meeting.end()

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """What controllers say among themselves; nobody hears it where nobody is left."""
        with suppress(InvalidArgumentError):
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def scan_response(self, address: hci.Address) -> bytes:
        """What the advertiser at ``address`` tells a scanner that asks."""
        advertisers = (controller.le_legacy_advertiser for controller in self.controllers)
        return next((one.scan_response_data for one in advertisers if one.enabled and one.address == address), b"")


class RadioController(Controller):
    """A controller of an ``Air``. ``set_packet_sink`` and ``on_packet`` make it source and sink of a host's HCI."""

    def __init__(self, name: str, air: Air, host: TransportSink | None = None) -> None:
        super().__init__(name, host_sink=host, link=air)
        self.air = air
        self.le_acl_data_packet_length = self.acl_data_packet_length = air.radio.packet_max
        self.total_num_le_acl_data_packets = self.total_num_acl_data_packets = air.radio.buffers

    def go_silent(self) -> None:
        """Neither advertise nor scan any more, and be lost to every peer."""
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        self.pending_le_connection = None
        for connection in list(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(LINK_LOST))
        self.lose_connections()

    def lose_connections(self) -> None:
        """Tell the host that all connections timed out."""
        for connection in list(self.le_connections.values()):
            self.on_le_disconnected(connection, LINK_LOST)

    def deliver(self, packet: hci.HCI_AclDataPacket) -> None:
        """Pass a packet to the other end, and tell the host that there is room for one more."""
        super().on_hci_acl_data_packet(packet)

    # --- what bumble's controller does otherwise, or not at all -------------------------------------------------------

    def on_hci_acl_data_packet(self, packet: hci.HCI_AclDataPacket) -> None:
        connection = self.find_le_connection_by_handle(packet.connection_handle)
        if connection is None or not self.air.radio.interval_ms:
            self.deliver(packet)
        else:
            self.air.send(self, connection, packet)

    def on_le_disconnected(self, connection: Connection, reason: int) -> None:
        self.air.forget(connection)
        super().on_le_disconnected(connection, reason)

    def on_hci_reset_command(self, _command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        self.go_silent()
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        if self.pending_le_connection is not None:
            self.send_hci_packet(_cancelled(self.pending_le_connection.peer_address))
        self.pending_le_connection = None
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_set_data_length_command(
        self, command: hci.HCI_LE_Set_Data_Length_Command
    ) -> hci.HCI_StatusAndConnectionHandleReturnParameters:
        octets = self.air.radio.packet_max
        time_us = ceil(self.air.radio.air_s(self.air.radio.packet_max) * 1e6)
        handle = command.connection_handle
        self.send_hci_packet(hci.HCI_LE_Data_Length_Change_Event(handle, octets, time_us, octets, time_us))
        return hci.HCI_StatusAndConnectionHandleReturnParameters(hci.HCI_ErrorCode.SUCCESS, handle)

    def on_hci_le_set_phy_command(self, command: hci.HCI_LE_Set_PHY_Command) -> None:
        self._send_hci_command_status(hci.HCI_COMMAND_STATUS_PENDING, command.op_code)
        phy = hci.Phy(self.air.radio.phy_mbit_s)
        success = hci.HCI_ErrorCode.SUCCESS
        self.send_hci_packet(hci.HCI_LE_PHY_Update_Complete_Event(success, command.connection_handle, phy, phy))

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        address = pdu.advertiser_address
        if self.le_scan_enable:
            self._report(hci.HCI_LE_Advertising_Report_Event.EventType.ADV_IND, address, pdu.data)
            if self.le_scan_type == hci.HCI_LE_Set_Scan_Parameters_Command.ACTIVE_SCANNING:
                answer = self.air.scan_response(address)
                self._report(hci.HCI_LE_Advertising_Report_Event.EventType.SCAN_RSP, address, answer)
        if self.pending_le_connection is not None and self.pending_le_connection.peer_address == address:
            self.create_le_connection(address)

    def _report(self, kind: int, address: hci.Address, data: bytes) -> None:
        report = hci.HCI_LE_Advertising_Report_Event.Report(kind, address.address_type, address, data, rssi=-50)
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))


class _Meeting:
    """The connection events of one connection; the rules are at the top of this file."""

    def __init__(self, radio: Radio, dice: Random) -> None:
        self._radio = radio
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._first = self._loop.time()
        self._queues: dict[RadioController, deque[hci.HCI_AclDataPacket]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._clock = self._end = 0.0
        self._turns = 0

    def put(self, controller: RadioController, packet: hci.HCI_AclDataPacket) -> None:
        self._queues.setdefault(controller, deque()).append(packet)
        if self._timer is None:
            self._begin_at(self._next(self._loop.time()))

    def end(self) -> None:
        """The connection is gone."""
        self._queues.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _next(self, after: float) -> float:
        """When the next event begins."""
        interval_s = self._radio.interval_s
        return self._first + ceil((after - self._first) / interval_s + 1e-6) * interval_s

    def _begin_at(self, at: float) -> None:
        self._clock = at
        self._end = at + self._radio.interval_s
        self._turns = 0
        self._timer = self._loop.call_at(at, self._turn)

    def _turn(self) -> None:
        """Let both ends send, if there is time."""
        radio = self._radio
        waiting = [queue[0] for queue in self._queues.values() if queue]
        if self._loop.time() - self._clock > radio.interval_s:  # the computer was too late for what it has missed
            self._begin_at(self._next(self._loop.time()))
            return
        sizes = [len(packet.data) for packet in waiting]
        done = self._clock + radio.turn_s(sizes[0], sizes[1] if len(sizes) > 1 else 0)
        if (
            done > self._end
            or self._turns == radio.packets_per_event
            or (radio.loss and self._dice.random() < radio.loss)
        ):
            self._begin_at(self._end)
        else:
            self._clock = done
            self._turns = self._turns + 1
            self._timer = self._loop.call_at(done, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        for controller, queue in list(self._queues.items()):
            if queue:
                controller.deliver(queue.popleft())
        if any(self._queues.values()):
            self._turn()


def _ends(connection: Connection) -> frozenset[str]:
    return frozenset((str(connection.self_address), str(connection.peer_address)))


def _cancelled(peer: hci.Address) -> hci.HCI_LE_Connection_Complete_Event:
    return hci.HCI_LE_Connection_Complete_Event(
        status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
        connection_handle=0,
        role=hci.Role.CENTRAL,
        peer_address_type=peer.address_type,
        peer_address=peer,
        connection_interval=0,
        peripheral_latency=0,
        supervision_timeout=0,
        central_clock_accuracy=0,
    )


# --- HCI by TCP -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve_hci(air: Air, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Give everyone who connects by TCP a controller of ``air`` (HCI with H4 packet types), while the block runs.

    Gives the port; 0 takes any that is free. Raises OSError if it cannot be had. A bumble host reaches it as
    ``tcp-client:HOST:PORT``, ``smpdfu`` by ``--ble-hci`` with the same words.
    """
    hosts: set[asyncio.Transport] = set()
    server = await asyncio.get_running_loop().create_server(lambda: _Socket(air, hosts), host, port)
    try:
        taken: int = server.sockets[0].getsockname()[1]
        yield taken
    finally:
        server.close()
        for transport in hosts:
            transport.abort()
        await asyncio.sleep(0)  # that is when asyncio lets go of them


class _Socket(asyncio.Protocol):
    """One host: its TCP connection is its controller's life."""

    def __init__(self, air: Air, hosts: set[asyncio.Transport]) -> None:
        self._air = air
        self._hosts = hosts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._hosts.add(transport)
        self._controller = self._air.controller(self)
        self._parser = PacketParser(self._controller)

    def connection_lost(self, error: Exception | None) -> None:
        self._hosts.discard(self._transport)
        self._air.remove(self._controller)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except InvalidPacketError:  # what follows cannot be told apart any more
            self._transport.abort()

    def on_packet(self, packet: bytes) -> None:
        """HCI from the controller. A host that reads nothing is let go."""
        if self._transport.get_write_buffer_size() > _UNREAD_MAX:
            self._transport.abort()
        self._transport.write(packet)
