"""Copies of a device: they begin as it is, and nothing that happens to one is seen by another."""

from __future__ import annotations

import struct

import pytest

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.copies import copies_of
from smpdfu.virtual.device import VirtualNrf5340


@pytest.fixture
def device() -> VirtualNrf5340:
    """It runs firmware on both cores."""
    key, header = generate("ecdsa-p256"), 0x200
    app, net = (
        struct.pack("<16I", 0x2000_4000, *[start + 0x101] * 15) + bytes(5000)
        for start in (NRF5340DK_STAGED.primary.start + header, NRF5340DK_STAGED.net.app.start)
    )
    made = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((key.public,)), name="desk")
    made.load_app(build(ImageSpec(Version(1), header, 0, pad_header=True), app, key).to_bytes())
    made.load_net(net)
    made.reset()
    assert made.net_core.running
    return made


def test_copies_run_what_the_device_runs(device: VirtualNrf5340) -> None:
    copies = copies_of(device, 3)
    assert [copy.name for copy in copies] == ["desk-1", "desk-2", "desk-3"]
    for copy in copies:
        assert copy.running == device.running
        assert copy.net_core.running == device.net_core.running
        assert len(copy.answers(Echo("x").to_bytes(1))) == 1


def test_a_copy_is_on_its_own(device: VirtualNrf5340) -> None:
    first, second = copies_of(device, 2)
    first.images[0].primary.area.erase_all()
    first.reset()
    assert first.running is None
    for other in (device, second):
        other.reset()
        assert other.running is not None
