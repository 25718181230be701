"""A device with a firmware loader in the air: two names, one after the other, at one address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.replacing.reach import Reach
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.do.update import Update
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.package import new_package
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


def board() -> VirtualNrf5340:
    """A device that runs version 1 and has a firmware loader beside it."""
    device = VirtualNrf5340(LAYOUT, BootKeys((KEY.public,)), name="board", resources=Resources(reset_delay_s=0.0))
    device.load_app(image(1, LAYOUT.primary.start))
    device.load_app(image(7, LAYOUT.secondary.start))
    device.load_net(NET)
    device.reset()
    return device


def test_the_loader_is_found_by_its_own_name_and_the_application_by_the_device_s() -> None:
    device = board()
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


def installed(path: Path, *, in_loader: bool, loader: str | None) -> tuple[Installed, VirtualNrf5340]:
    """What an update over the radio ended with; the application is named, and the loader, too, if ``loader`` is."""
    device = board()
    if in_loader:
        device.images[0].primary.area.erase_all()
        device.reset()
    data = image(2, LAYOUT.primary.start)
    package = new_package([(PackageImage.from_bytes(data, "app.bin", {}), LAYOUT.primary.start + 0x200)])

    async def use() -> Installed:
        async with Rig() as rig:
            rig.serve(device)
            other = None if loader is None else rig.client(rig.pipe(loader, connect_s=30.0))
            reach = Reach(rig.client(rig.pipe("board", connect_s=30.0)), other)
            with Journal(path) as journal:
                async with reach:
                    update = Update(reach, package, journal, deadlines=Deadlines(settle_s=40.0))
                    return await update.run(await update.look())

    return simulate(use()), device


@pytest.mark.parametrize("loader", [None, "FW loader"], ids=["at the same address", "by its name"])
def test_an_update_follows_the_device_to_its_loader_and_back(tmp_path: Path, loader: str | None) -> None:
    done, device = installed(tmp_path / "j", in_loader=False, loader=loader)
    assert done.proven is True
    assert (device.running and device.running.header.version, device.advertised_name) == (Version(2), "board")
    assert [one.code for one in done.findings if one.code == "loader-name"] == ([] if loader else ["loader-name"])


def test_an_update_begins_in_the_loader_where_there_is_no_application(tmp_path: Path) -> None:
    done, device = installed(tmp_path / "j", in_loader=True, loader="FW loader")
    assert done.proven is True
    assert (device.running and device.running.header.version, device.advertised_name) == (Version(2), "board")
