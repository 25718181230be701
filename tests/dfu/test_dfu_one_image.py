"""One image without a journal: on trial where the bootloader can revert, for good where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.do import one_image_steps
from smpdfu.dfu.do.health import Health, echoes
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.steps import Deadlines, StepRunner
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.errors import LinkLostError, RevertedError, StepError
from smpdfu.image.keys.keys import generate
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from smpdfu.client import Client
    from tests.dfu.conftest import Maker
    from tests.dfu.dfu_device import OVERWRITES, PATIENT, SHORT, SWAPS, client_of, net_holds, new_device, slots, version
else:
    from dfu_device import OVERWRITES, PATIENT, SHORT, SWAPS, client_of, net_holds, new_device, slots, version

MODES = pytest.mark.parametrize("mode", [SWAPS, OVERWRITES])


def install(
    device: VirtualNrf5340, image: PackageImage, health: Health = echoes, deadlines: Deadlines = PATIENT
) -> DeviceState:
    """What ``smpdfu upload --confirm`` does with a device of this mode."""

    async def act() -> DeviceState:
        async with client_of(device) as client:
            await client.upload(image.data)
            runner, state = StepRunner(client, deadlines, health), await read_state(client)
            if state.can_revert:
                return await one_image_steps.install(runner, image, state)
            return await one_image_steps.install_for_good(runner, image, state, 0)

    return simulate(act())


@MODES
def test_an_application_image(make: Maker, mode: SwapMode) -> None:
    state = install(new_device(make, mode), make.image())
    assert state.running is not None
    assert (state.running.version, state.running.confirmed) == ("2.0.0", True)


@MODES
def test_a_network_image(make: Maker, mode: SwapMode) -> None:
    device, image = new_device(make, mode), make.image(Role.NET)
    state = install(device, image)
    assert state.running is not None
    assert state.running.version == "1.0.0"
    assert net_holds(device, image)


@MODES
def test_a_refused_application_image(make: Maker, mode: SwapMode) -> None:
    device, image = new_device(make, mode), type(make)(generate("ecdsa-p256"), make.encryption).image()
    with pytest.raises(
        RevertedError, match=r"erased it; the device runs .* Likely cause: the bootloader does not trust"
    ):
        install(device, image)
    assert version(device) == "1.0.0"


def test_a_refused_network_image(make: Maker) -> None:
    device, image = new_device(make), type(make)(generate("ecdsa-p256"), make.encryption).image(Role.NET)
    with pytest.raises(RevertedError, match=r"did not take net_core_update\.bin.*keeps its firmware"):
        install(device, image)
    assert not net_holds(device, image)


def encrypted_network_image(make: Maker) -> PackageImage:
    """Nothing tells its core: no manifest, and what has the vector is ciphertext."""
    return PackageImage.from_bytes(make.data(Core.NET, encrypted=True), "net.bin")


def test_an_image_that_does_not_start_is_only_tried(make: Maker) -> None:
    device = new_device(make)
    with pytest.raises(StepError, match="switch it off and on: an image that was not confirmed is swapped") as caught:
        install(device, encrypted_network_image(make), deadlines=SHORT)
    assert not caught.value.resumable
    assert version(device) is None
    device.reset()
    assert version(device) == "1.0.0"
    assert slots(device)[0].confirmed


def test_no_false_hope_after_a_permanent_mark(make: Maker) -> None:
    device = new_device(make, OVERWRITES)
    with pytest.raises(StepError, match="look at its console") as caught:
        install(device, encrypted_network_image(make), deadlines=SHORT)
    assert "swap" not in str(caught.value)
    device.reset()
    assert version(device) is None


async def sick(client: Client) -> None:
    raise LinkLostError("the sensor does not answer")


def test_an_image_that_is_not_well_is_not_kept(make: Maker) -> None:
    device = new_device(make)
    with pytest.raises(RevertedError, match="fails its check"):
        install(device, make.image(), sick)
    assert version(device) == "1.0.0"
    assert slots(device)[0].confirmed
