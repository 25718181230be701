"""A bootloader that took a SoftDevice or a bootloader, and reports another one, has not installed it."""

from __future__ import annotations

import pytest

from smpdfu.image.secure_dfu.init_packet import FwType, InitCommand
from smpdfu.image.secure_dfu.package import Entry
from smpdfu.securedfu.protocol.messages import FirmwareType, FirmwareVersion
from smpdfu.securedfu.send.installed import shows_others
from tests.securedfu.nrf52_firmware import S140_7_2, softdevice
from tests.securedfu.send.dfu_bench import entry_of
from tests.virtual.nrf52.nrf52_bench import init_command, sign

NEW_VERSION = 2


def entry(kind: FwType) -> Entry:
    image = softdevice() if kind in (FwType.SOFTDEVICE, FwType.SOFTDEVICE_BOOTLOADER) else b"bootloader.."
    command: InitCommand = init_command(image, type=kind, fw_version=NEW_VERSION)
    return entry_of(image, sign(command), "part")


def reported(bootloader: int, softdevice_version: int | None) -> dict[FirmwareType, FirmwareVersion]:
    found = {FirmwareType.BOOTLOADER: FirmwareVersion(FirmwareType.BOOTLOADER, bootloader, 0xF8000, 0x6000)}
    if softdevice_version is not None:
        here = FirmwareVersion(FirmwareType.SOFTDEVICE, softdevice_version, 0x1000, S140_7_2[2])
        found[FirmwareType.SOFTDEVICE] = here
    return found


@pytest.mark.parametrize(
    ("kind", "bootloader", "softdevice_version", "others"),
    [
        (FwType.BOOTLOADER, NEW_VERSION, None, False),
        (FwType.BOOTLOADER, NEW_VERSION - 1, None, True),
        (FwType.SOFTDEVICE, 1, S140_7_2[1], False),
        (FwType.SOFTDEVICE, 1, 6_001_000, True),
        (FwType.SOFTDEVICE, 1, None, True),
        (FwType.SOFTDEVICE_BOOTLOADER, NEW_VERSION, S140_7_2[1], False),
        (FwType.SOFTDEVICE_BOOTLOADER, NEW_VERSION - 1, S140_7_2[1], True),
        (FwType.SOFTDEVICE_BOOTLOADER, NEW_VERSION, 6_001_000, True),
        (FwType.APPLICATION, 1, None, False),
    ],
)
def test_what_the_device_reports_is_compared_with_what_was_sent(
    kind: FwType, bootloader: int, softdevice_version: int | None, others: bool
) -> None:
    assert shows_others(entry(kind), reported(bootloader, softdevice_version)) is others


def test_a_bootloader_that_reports_nothing_is_not_contradicted() -> None:
    assert not shows_others(entry(FwType.BOOTLOADER), {})
