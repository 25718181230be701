"""A stand-in for BlueZ on a private D-Bus: as much of org.bluez as unmodified bleak uses, with a virtual device behind
its one characteristic, and the faults that BlueZ is known for."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from smpdfu.link.ble.pipe import SMP_CHARACTERISTIC, SMP_SERVICE
from smpdfu.link.memory import pipe_pair
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import GattFraming
from smpdfu.virtual.device import VirtualNrf5340

ADAPTER = "/org/bluez/hci0"
PROPERTIES = "org.freedesktop.DBus.Properties"
FAILED = "org.bluez.Error.Failed"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="*"/>
<allow receive_type="*"/></policy></busconfig>"""


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """A D-Bus of the test's own; gives its address."""
    path, config = folder / "bus", folder / "bus.conf"
    config.write_text(BUS.format(path=path))
    line = ["dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1", f"--config-file={config}"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as daemon:
        try:
            assert daemon.stdout is not None
            yield daemon.stdout.readline().strip().partition(",")[0]
        finally:
            daemon.terminate()


@dataclass
class Manner:
    """How this BlueZ behaves.

    ``mtu`` None: it is older than 5.62 and does not tell. ``aborts``: how often connecting ends with
    le-connection-abort-by-local. ``forgets``: the device object goes when scanning stops. ``write_error``: what all
    writes but the first are answered with. ``wants_pairing``: unpaired, nothing gets through. ``pair_error``: what
    pairing ends with. ``notifications``: how often each comes.
    """

    mtu: int | None = 498
    powered: bool = True
    adapter: bool = True
    aborts: int = 0
    forgets: bool = False
    write_error: str | None = None
    wants_pairing: bool = False
    pair_error: str | None = None
    notifications: int = 1


class FakeBluez:
    """One adapter and, until it is removed, one device."""

    def __init__(self, bus: MessageBus, device: VirtualNrf5340, manner: Manner) -> None:
        self.bus, self.device, self.manner = bus, device, manner
        self.address = "C0:00:00:00:00:01"
        self.connected = self.paired = False
        self.connections = self.writes = 0
        self.agent: tuple[str, str] | None = None
        self._present = False
        self._notifying = False
        self._wire: Pipe | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def path(self) -> str:
        return f"{ADAPTER}/dev_{self.address.replace(':', '_')}"

    @property
    def characteristic(self) -> str:
        return f"{self.path}/service0010/char0011"

    # --- objects -----------------------------------------------------------------------------------------------------

    def objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        tree: dict[str, dict[str, dict[str, Variant]]] = {}
        if self.manner.adapter:
            powered, roles = Variant("b", self.manner.powered), Variant("as", ["central", "peripheral"])
            adapter = {"Address": Variant("s", "00:00:00:00:00:01"), "Powered": powered, "Roles": roles}
            tree[ADAPTER] = {"org.bluez.Adapter1": adapter}
        if self._present:
            tree[self.path] = {"org.bluez.Device1": self._device_properties()}
        if self.connected:
            tree |= self._services()
        return tree

    def _device_properties(self) -> dict[str, Variant]:
        return {
            "Address": Variant("s", self.address),
            "Alias": Variant("s", self.device.name),
            "Name": Variant("s", self.device.name),
            "Adapter": Variant("o", ADAPTER),
            "Paired": Variant("b", self.paired),
            "Connected": Variant("b", self.connected),
            "ServicesResolved": Variant("b", self.connected),
            "UUIDs": Variant("as", [SMP_SERVICE]),
            "RSSI": Variant("n", -47),
        }

    def _services(self) -> dict[str, dict[str, dict[str, Variant]]]:
        service = {
            "UUID": Variant("s", SMP_SERVICE),
            "Primary": Variant("b", True),
            "Device": Variant("o", self.path),
        }
        characteristic = {
            "UUID": Variant("s", SMP_CHARACTERISTIC),
            "Service": Variant("o", self.characteristic[:-9]),
            "Flags": Variant("as", ["write-without-response", "notify"]),
            "Notifying": Variant("b", False),
        }
        if self.manner.mtu is not None:
            characteristic["MTU"] = Variant("q", self.manner.mtu)
        return {
            self.characteristic[:-9]: {"org.bluez.GattService1": service},
            self.characteristic: {"org.bluez.GattCharacteristic1": characteristic},
        }

    # --- signals ------------------------------------------------------------------------------------------------------

    async def _emit(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        await self.bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    async def changed(self, path: str, interface: str, **properties: Variant) -> None:
        await self._emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, properties, [])

    async def _added(self, objects: dict[str, dict[str, dict[str, Variant]]]) -> None:
        for path, interfaces in objects.items():
            await self._emit(
                "/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", "oa{sa{sv}}", path, interfaces
            )

    async def _removed(self, paths: list[str], interface: str) -> None:
        for path in paths:
            await self._emit("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", "oas", path, [interface])

    # --- what bleak calls ---------------------------------------------------------------------------------------------

    def answer(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or not (message.path or "").startswith("/"):
            return None
        member = re.sub(r"(?<!^)(?=[A-Z])", "_", message.member or "").lower()
        method = getattr(self, f"on_{member}", None)
        if method is None or message.destination not in ("org.bluez", self.bus.unique_name):
            return None
        self.run(self._reply(message, method))
        return True

    async def _reply(self, message: Message, method: Callable[[Message], Any]) -> None:
        try:
            signature, body = await method(message)
        except BluezError as error:
            await self.bus.send(Message.new_error(message, error.args[0], error.args[1]))
        else:
            await self.bus.send(Message.new_method_return(message, signature, body))

    async def on_get_managed_objects(self, message: Message) -> tuple[str, list[Any]]:
        return "a{oa{sa{sv}}}", [self.objects()]

    async def on_set_discovery_filter(self, message: Message) -> tuple[str, list[Any]]:
        return "", []

    async def on_start_discovery(self, message: Message) -> tuple[str, list[Any]]:
        self.run(self._advertise())
        return "", []

    async def _advertise(self) -> None:
        if self.connected:
            return
        if not self._present:
            self._present = True
            await self._added({self.path: self.objects()[self.path]})
        await self.changed(self.path, "org.bluez.Device1", RSSI=Variant("n", -46))

    async def on_stop_discovery(self, message: Message) -> tuple[str, list[Any]]:
        if self.manner.forgets:
            self._present = False
            await self._removed([self.path], "org.bluez.Device1")
        return "", []

    async def on_connect(self, message: Message) -> tuple[str, list[Any]]:
        self._must_exist(message)
        if self.manner.aborts:
            self.manner.aborts -= 1
            await self.changed(self.path, "org.bluez.Device1", Connected=Variant("b", True))
            await self.changed(self.path, "org.bluez.Device1", Connected=Variant("b", False))
            raise BluezError(FAILED, "le-connection-abort-by-local")
        await self._come_up()
        return "", []

    async def on_pair(self, message: Message) -> tuple[str, list[Any]]:
        if self.manner.pair_error is not None:
            raise BluezError(self.manner.pair_error, "Authentication Failed")
        if self.agent is None:
            raise BluezError("org.bluez.Error.AuthenticationFailed", "Authentication Failed")
        ask = Message(self.agent[0], self.agent[1], "org.bluez.Agent1", "RequestAuthorization", signature="o")
        ask.body = [self.path]
        allowed = await self.bus.call(ask)
        assert allowed is not None
        assert allowed.message_type is MessageType.METHOD_RETURN, allowed.body
        self.paired = True
        await self.changed(self.path, "org.bluez.Device1", Paired=Variant("b", True))
        await self._come_up()
        return "", []

    async def on_register_agent(self, message: Message) -> tuple[str, list[Any]]:
        assert message.body[1] == "NoInputNoOutput"
        assert message.sender is not None
        self.agent = (message.sender, message.body[0])
        return "", []

    async def on_request_default_agent(self, message: Message) -> tuple[str, list[Any]]:
        return "", []

    async def on_set(self, message: Message) -> tuple[str, list[Any]]:
        return "", []

    async def on_disconnect(self, message: Message) -> tuple[str, list[Any]]:
        self._must_exist(message)
        await self.lose()
        return "", []

    async def on_start_notify(self, message: Message) -> tuple[str, list[Any]]:
        self._must_exist(message)
        self._notifying = True
        return "", []

    async def on_stop_notify(self, message: Message) -> tuple[str, list[Any]]:
        self._notifying = False
        return "", []

    async def on_write_value(self, message: Message) -> tuple[str, list[Any]]:
        self._must_exist(message)
        data, options = message.body
        assert options["type"].value == "command"
        self.writes += 1
        if len(data) > (self.manner.mtu or 23) - 3:
            raise BluezError(FAILED, "Failed to initiate write")
        if self.manner.write_error is not None and self.writes > 1:
            raise BluezError(FAILED, self.manner.write_error)
        if self._wire is not None and (self.paired or not self.manner.wants_pairing):
            await self._wire.write(bytes(data))
        return "", []

    def _must_exist(self, message: Message) -> None:
        if message.path not in self.objects():
            raise BluezError("org.freedesktop.DBus.Error.UnknownObject", f"no object {message.path}")

    async def be_connected(self) -> None:
        """A program that died has left its connection behind."""
        self._present = True
        await self._come_up()

    # --- the connection ----------------------------------------------------------------------------------------------

    async def _come_up(self) -> None:
        self.connected, self.connections = True, self.connections + 1
        self._wire, far_end = pipe_pair()
        await self._wire.open()
        await far_end.open()
        self.run(self.device.serve(far_end, GattFraming()))
        self.run(self._notify(self._wire))
        await self.changed(self.path, "org.bluez.Device1", Connected=Variant("b", True))
        await self._added(self._services())
        await self.changed(self.path, "org.bluez.Device1", ServicesResolved=Variant("b", True))

    async def _notify(self, wire: Pipe) -> None:
        step = (self.manner.mtu or 23) - 3
        while True:
            data = await wire.read()
            for start in range(0, len(data), step):
                piece = Variant("ay", data[start : start + step])
                for _ in range(self.manner.notifications if self._notifying else 0):
                    await self.changed(self.characteristic, "org.bluez.GattCharacteristic1", Value=piece)

    async def lose(self, new_address: str | None = None) -> None:
        """The connection ends; with ``new_address`` the device is another one to BlueZ from then on."""
        if self._wire is not None:
            await self._wire.close()
        self._wire, self._notifying = None, False
        if self.connected:
            self.connected = False
            await self.changed(
                self.path, "org.bluez.Device1", Connected=Variant("b", False), ServicesResolved=Variant("b", False)
            )
        if new_address is not None:
            await self._removed([self.path], "org.bluez.Device1")
            self._present, self.address = False, new_address

    async def restarted(self) -> None:
        """The device has lost its power, or started."""
        await self.lose()

    def run(self, job: Any) -> None:
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a wire that is lost ends those who use it

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


Fake = TypeVar("Fake", bound=FakeBluez)


class BluezError(Exception):
    """A D-Bus error: its name, its text."""


@asynccontextmanager
async def bluez(address: str, device: VirtualNrf5340, manner: Manner) -> AsyncIterator[FakeBluez]:
    """BlueZ on the bus at ``address``."""
    async with on_bus(address, lambda bus: FakeBluez(bus, device, manner)) as fake:
        yield fake


@asynccontextmanager
async def on_bus(address: str, make: Callable[[MessageBus], Fake]) -> AsyncIterator[Fake]:
    """A BlueZ of any kind on the bus at ``address``."""
    bus = await MessageBus(bus_address=address).connect()
    fake = make(bus)
    bus.add_message_handler(fake.answer)
    await bus.request_name("org.bluez")
    unwatch = fake.device.watch_power(lambda: fake.run(fake.restarted()))
    try:
        yield fake
    finally:
        unwatch()
        await fake.stop()
        bus.disconnect()
        await bus.wait_for_disconnect()
