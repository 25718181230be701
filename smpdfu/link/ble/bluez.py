"""What Bluetooth stacks say when something is wrong, in words; and the agent that BlueZ wants for pairing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from smpdfu.link.pipe import words

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

_BLUEZ, _ROOT, _AGENT_PATH = "org.bluez", "/org/bluez", "/org/smpdfu/agent"
_NOT_AVAILABLE = {
    "NO_BLUETOOTH": "this computer has no Bluetooth adapter",
    "NO_BLE_CENTRAL_ROLE": "the Bluetooth adapter cannot do Bluetooth LE",
    "POWERED_OFF": "Bluetooth is switched off",
    "DENIED_BY_USER": "this program may not use Bluetooth: the user denied it",
    "DENIED_BY_SYSTEM": "this program may not use Bluetooth: the system denies it",
    "DENIED_BY_UNKNOWN": "this program may not use Bluetooth",
}
# The first that is found in what the stack said decides.
_SAID = {
    "org.bluez was not provided": "BlueZ is not running: start its service (systemctl start bluetooth)",
    "ServiceUnknown": "BlueZ is not running: start its service (systemctl start bluetooth)",
    "NameHasNoOwner": "BlueZ is not running: start its service (systemctl start bluetooth)",
    "requires BlueZ": "BlueZ is too old: version 5.55 is the first that works, 5.62 the first that is fast",
    "AccessDenied": "you may not use BlueZ: the system's D-Bus policy denies it",
    "le-connection-abort-by-local": "the connection failed to be established; radio noise can do that: try again",
    "Insufficient": "the device allows that only to a computer that it has a bond with",
    "Configuration Descriptor": "the device wants its notifications switched on first",
    "Authentication": "pairing failed: the device refuses it, or no longer knows a pairing that this computer "
    "remembers",
    "Not paired": "the device needs pairing",
    "NotPermitted": "the device, or another program that uses it, does not allow that",
    "Not connected": "the device is no longer connected",
    "NotConnected": "the device is no longer connected",
    "UnknownObject": "the system no longer hears the device",
    "device 'dev_": "the system no longer hears the device",
    "removed from BlueZ": "the system no longer hears the device",
    "InProgress": "the system is busy with another connection to the device",
    "failed to discover services": "the device disconnected while its services were read",
    "adapter '": "there is no such Bluetooth adapter",
}


def explain(error: BaseException) -> str:
    """Why Bluetooth did not do what was asked, in a clause without capital or full stop."""
    reason = getattr(getattr(error, "reason", None), "name", None)
    if isinstance(reason, str) and reason in _NOT_AVAILABLE:
        return _NOT_AVAILABLE[reason]
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | PermissionError):
        return f"the system's D-Bus does not answer, and smpdfu reaches BlueZ through it: {words(error)}"
    said = f"{error} {type(error).__name__}"
    known = next((meaning for sign, meaning in _SAID.items() if sign in said), None)
    is_protocol_error = len(error.args) == 2 and isinstance(error.args[0], int) and isinstance(error.args[1], str)
    return known or (error.args[1] if is_protocol_error else words(error))  # bleak's have their number in front


@asynccontextmanager
async def pairing_agent() -> AsyncIterator[None]:
    """Answer BlueZ's questions while the block runs: yes, without a code ("just works"). It does not pair without one.

    Where BlueZ does not take the agent, the block runs all the same: the desktop may have one.
    """
    from dbus_fast import BusType
    from dbus_fast.aio import MessageBus

    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        await bus.connect()
        bus.add_message_handler(_agree)
        await _agent_manager(bus, "RegisterAgent", "os", [_AGENT_PATH, "NoInputNoOutput"])
        await _agent_manager(bus, "RequestDefaultAgent", "o", [_AGENT_PATH])
        yield
    finally:
        bus.disconnect()
        with suppress(Exception):  # it tells a second time why the bus broke, if it did
            await bus.wait_for_disconnect()


async def _agent_manager(bus: MessageBus, member: str, signature: str, body: list[Any]) -> None:
    from dbus_fast import Message

    await bus.call(Message(_BLUEZ, _ROOT, "org.bluez.AgentManager1", member, signature=signature, body=body))


def _agree(message: Message) -> Message | None:
    """The whole of ``org.bluez.Agent1`` for something that has neither screen nor keys: an empty answer is a yes."""
    asked = (message.path, message.interface, message.member)
    if asked[:2] != (_AGENT_PATH, "org.bluez.Agent1") or asked[2] not in _AGREED:
        return None
    return type(message).new_method_return(message)


_AGREED = ("RequestAuthorization", "AuthorizeService", "Cancel", "Release")
