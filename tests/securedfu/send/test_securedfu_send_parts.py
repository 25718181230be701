"""Packages of two parts over a serial line: SoftDevice and bootloader first, then the application."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpdfu.image.secure_dfu.init_packet import FwType
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.secure_dfu import send_secure_dfu
from smpdfu.securedfu.send import carry, installed, serial
from smpdfu.securedfu.send.session import SecureDfuEvent, SecureDfuPartBegins, SecureDfuRestarts
from tests.securedfu.send.dfu_bench import entry_of, served
from tests.virtual.nrf52.nrf52_bench import firmware, init_command, new_device, sign
from tests.virtual.nrf52.test_nrf52_power_cuts import BEHIND, BOTH, NEW_BOOTLOADER, NEW_SOFTDEVICE, SMALL

APPLICATION = firmware(SMALL.end, 2, 4_400)
SYSTEM = init_command(
    BOTH,
    type=FwType.SOFTDEVICE_BOOTLOADER,
    app_size=0,
    sd_size=len(NEW_SOFTDEVICE),
    bl_size=len(NEW_BOOTLOADER),
    sd_req=(0x100, 0x123),
)
PACKAGE = SecureDfuPackage.of(
    [
        entry_of(APPLICATION, sign(init_command(APPLICATION, sd_req=(0x123,))), "application"),
        entry_of(BOTH, sign(SYSTEM), "softdevice_bootloader"),
    ]
)


def test_the_system_goes_first_and_a_second_call_leaves_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device restarts between the parts, and its new bootloader gets the application."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(serial, "SURE_S", 0.0)
    monkeypatch.setattr(carry, "PING_S", 0.05)
    monkeypatch.setattr(installed, "ANSWER_S", 0.1)
    device = new_device(softdevice=SMALL, app=BEHIND)

    async def use() -> None:
        async with served(device) as address:
            for skipped in (False, True):
                device.enter_dfu()
                events: list[SecureDfuEvent] = []
                # Each restart is waited for: the second one in vain, for a UART is silent when the application runs.
                sent = await send_secure_dfu(address, PACKAGE, boot_timeout_s=2, watch=events.append)
                assert [(part.image, part.skipped) for part in sent.parts] == [
                    ("softdevice_bootloader", skipped),
                    ("application", False),
                ]
                begun = [one.image for one in events if isinstance(one, SecureDfuPartBegins)]
                assert begun == ["softdevice_bootloader", "application"]
                assert sum(isinstance(one, SecureDfuRestarts) for one in events) == (1 if skipped else 2)
                assert device.app_runs
                assert device.chip.read(SMALL.end, len(APPLICATION)) == APPLICATION

    asyncio.run(use())
