"""Which gateway a device belongs to, as far as the server can tell a gateway.

DDI has no lease. Two things are visible:

- the messages of one action. Each gateway writes its claim there before it touches the device, and then reads them. Of
  two gateways that do so, at least one sees the other, and that one stays away. hawkBit gives them to a device with its
  token (``actionHistory``); a server that does not, shows nothing.
- the attributes of a target, by a person's access to the management API. The last gateway that claimed the device has
  its claim there.

Without the second, an agent without an action cannot know that another gateway claimed its device.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

GATEWAY = "smpdfu_gateway"
CLAIM = "smpdfu_claim"
CLAIMED = "smpdfu_claimed"
HISTORY = 100
"""Messages of an action that are read; hawkBit gives 100 at most (``MAX_ACTION_HISTORY_MSG_COUNT``)."""
_TEXT = "smpdfu gateway {gateway} claims this action (claim {id})"
_PATTERN = re.compile(
    r"smpdfu gateway (?P<gateway>[A-Za-z0-9._-]{1,64}) claims this action \(claim (?P<id>[0-9a-f]{16})\)"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A gateway's claim on a device: the name of the gateway, and a random id of 16 hex digits."""

    gateway: str
    id: str

    @classmethod
    def new(cls, gateway: str) -> Claim:
        """Make a claim that no other one equals."""
        return cls(gateway, secrets.token_hex(8))

    @property
    def message(self) -> str:
        """As the messages of an action have it."""
        return _TEXT.format(gateway=self.gateway, id=self.id)

    @property
    def attribute(self) -> str:
        """As the attribute ``CLAIM`` of a target has it."""
        return f"{self.id} {self.gateway}"


def other_in_messages(messages: Iterable[str], own: Claim) -> Claim | None:
    """Another gateway's claim among the messages of an action; None if there is none."""
    found = (_PATTERN.fullmatch(one.strip()) for one in messages)
    claims = (Claim(one["gateway"], one["id"]) for one in found if one is not None)
    return next((one for one in claims if one.id != own.id), None)


def gateway_in_attributes(attributes: Mapping[str, str]) -> str | None:
    """The gateway that claimed the target last; None if none did.

    ``GATEWAY`` is that of the agent which last told anything, ``CLAIM`` that of the one which last claimed the target.
    """
    return attributes.get(CLAIM, "").partition(" ")[2] or attributes.get(GATEWAY)


def other_in_attributes(attributes: Mapping[str, str], own: Claim) -> Claim | None:
    """The claim that replaced ours in the attributes of the target; None if ours or none is there."""
    number, _, gateway = attributes.get(CLAIM, "").partition(" ")
    return Claim(gateway or "another gateway", number) if number and number != own.id else None
