"""What the server hears of a device: attributes to select targets by."""

from __future__ import annotations

from collections.abc import Mapping

from smpdfu import __version__
from smpdfu.agent.actions.claims import CLAIM, CLAIMED, GATEWAY, Claim
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.fleet.description.device_list import FleetDevice

AGENT = "smpdfu_version"
APP_VERSION = "smpdfu_app_version"


def known_attributes(device: FleetDevice, claim: Claim) -> dict[str, str]:
    """What is known without asking the device."""
    wire = (device.place or device.address).partition(":")[0]
    return {AGENT: __version__, GATEWAY: claim.gateway, "smpdfu_hardware": device.hardware, "smpdfu_wire": wire}


def claim_attributes(claim: Claim, claimed: str) -> dict[str, str]:
    """The claim itself: it is sent once, when the gateway makes it."""
    return {CLAIM: claim.attribute, CLAIMED: claimed}


def read_attributes(state: DeviceState, net_version: str | None) -> dict[str, str]:
    """What the device told. ``net_version`` is that of the network core, if it is known."""
    found: Mapping[str, str | None] = {
        APP_VERSION: None if state.running is None else state.running.version,
        "smpdfu_net_version": net_version,
        "smpdfu_board": state.board,
        "smpdfu_bootloader": None if state.mode is None else state.mode.name.lower().replace("_", "-"),
        "smpdfu_scheme": state.given or state.told_scheme,
        "smpdfu_chip": state.hardware,
    }
    return {name: value for name, value in found.items() if value}


def changed(attributes: Mapping[str, str], sent: Mapping[str, str]) -> bool:
    """True if the server does not have these attributes yet."""
    return any(sent.get(name) != value for name, value in attributes.items())
