"""The check of MCUboot's update of itself: did b0 start the new one? ``decide/mcuboot`` judges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.mcuboot import mcuboot_proof, not_started
from smpdfu.dfu.decide.proof import picture
from smpdfu.dfu.do.state_reading import read_b0_slot, read_slots
from smpdfu.dfu.package.images import PackageImage
from smpdfu.errors import RevertedError
from smpdfu.loaders.proof import Picture

B0_REFUSED = "b0-refused"
"""The code of the error where b0 printed that it does not accept the new MCUboot."""
Restart = Callable[[DeviceState], Awaitable[DeviceState]]
"""Reset the device and wait until it is back."""


async def check_mcuboot(client: Client, image: PackageImage, state: DeviceState, restart: Restart) -> DeviceState:
    """Read which MCUboot runs, and return the state with what is known of the new one, ``image``.

    Where nothing has shown yet that b0 looked at it, the device is reset once more: some bootloaders start the
    application right after they copied their update, and b0 comes to it at the next boot only. Not where the image
    still waits: a bootloader before NCS 2.7 keeps it so if the power failed right after the copy.

    Raises RevertedError where b0 did not start it, AbsentError where the device stays away, LinkError.
    """
    now = await _read(client, state)
    proof = mcuboot_proof(image, now, asked=False)
    if proof.value is None and picture(image, now) is not Picture.PENDING:
        now = await _read(client, await restart(now))
        proof = mcuboot_proof(image, now, asked=True)
    now = replace(now, b0=replace(now.b0, proof=proof))
    if proof.value is False:
        code = B0_REFUSED if image.slot in now.boot.b0.refused else "mcuboot-not-started"
        raise RevertedError(not_started(image, now, proof), ran=False, partly=True).because(code)
    return now


async def _read(client: Client, state: DeviceState) -> DeviceState:
    return await read_b0_slot(client, await read_slots(client, state))
