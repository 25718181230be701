"""A device with a firmware loader in the air: two names, one after the other, at one address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpdfu.image.format import Version
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.smp.groups.image import StateRead
from smpdfu.smp.groups.os import Reset
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.ble.ble_rig import KEY, NET, Rig, vectors
else:
    from ble_rig import KEY, NET, Rig, vectors

LAYOUT = LAYOUTS["nrf5340dk-firmware-loader"]


def image(version: int, start: int) -> bytes:
    spec = ImageSpec(Version(version), 0x200, 0, pad_header=True)
    return build(spec, vectors(0x2000_4000, start + 0x200) + bytes(20_000), KEY).to_bytes()


def test_the_loader_is_found_by_its_own_name_and_the_application_by_the_device_s() -> None:
    device = VirtualNrf5340(LAYOUT, BootKeys((KEY.public,)), name="board", resources=Resources(reset_delay_s=0.0))
    device.load_app(image(1, LAYOUT.primary.start))
    device.load_app(image(7, LAYOUT.secondary.start))
    device.load_net(NET)
    device.reset()
    new = image(2, LAYOUT.primary.start)
    addresses: list[str] = []

    async def use() -> list[str | None]:
        async with Rig() as rig:
            rig.serve(device, ready=lambda address: addresses.append(str(address)))
            async with rig.client(rig.pipe("board")) as client:
                await client.request(Reset(boot_mode=1))
            async with rig.client(rig.pipe("FW loader", connect_s=30.0)) as client:
                await client.upload(new)
                await client.request(Reset())
            async with rig.client(rig.pipe("board", connect_s=30.0)) as client:
                return [one.version for one in (await client.request(StateRead())).images]

    assert simulate(use()) == ["2.0.0"]
    assert len(addresses) == 3
    assert len(set(addresses)) == 1
