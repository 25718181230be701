"""What SMP tells of MCUboot behind b0, and what a stored device keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import ConnectError, DeviceError, FormatError
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.smp.groups.image import StateRead, StateReply
from smpdfu.smp.groups.os import ACTIVE_B0_SLOT, BootloaderInfo, BootloaderInfoReply, OsRc
from smpdfu.smp.message import Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions, Ending
from smpdfu.virtual.boot.flashing import flash_mcuboot
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import NRF5340DK_B0, NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.report import report
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.b0 import install_b0
from smpdfu.virtual.store.devices import Recipe
from smpdfu.virtual.store.sample_firmware import mcuboot_image

if TYPE_CHECKING:
    from tests.virtual.b0_bench import NEXT_SEALING, SEALING, STRANGER
    from tests.virtual.virtual_bench import SIGNING, Bench
else:
    from b0_bench import NEXT_SEALING, SEALING, STRANGER
    from virtual_bench import SIGNING, Bench

DK = Bench(NRF5340DK_B0)
NSIB = NRF5340DK_B0.nsib
assert NSIB is not None
S0, S1 = NSIB.slots
SLOTS = 8


def board(*, keys: tuple[PrivateKey, ...] = (SEALING,), recovers: bool = False) -> VirtualNrf5340:
    """A DK that runs version 1 of everything."""
    device = VirtualNrf5340(NRF5340DK_B0, BootKeys((SIGNING.public,), options=BootOptions(recovers=recovers)))
    install_b0(device, [key.public for key in keys], None, SEALING, SLOTS)
    device.load_app(DK.app_image(1))
    device.reset()
    return device


def ask(device: VirtualNrf5340, request: Request[Response]) -> Response | DeviceError:
    """The answer of the SMP server."""
    (answer,) = device.answers(request.to_bytes(7, 2))
    return read_outcome(request, answer[8:])


def active(device: VirtualNrf5340) -> int | None:
    """What the query for the active slot of MCUboot answers."""
    found = ask(device, BootloaderInfo(ACTIVE_B0_SLOT))
    assert isinstance(found, BootloaderInfoReply)
    return found.active


def send(device: VirtualNrf5340, image: bytes) -> None:
    """Upload an image as a debugger would, mark it, and reset."""
    secondary = device.images[0].secondary
    secondary.area.erase_all()
    secondary.area.program(0, image + b"\xff" * (-len(image) % 4))
    secondary.set_pending(permanent=False)
    device.reset()


def test_the_active_slot_follows_the_update() -> None:
    device = board()
    assert (active(device), device.mcuboot) == (0, 0)
    send(device, mcuboot_image(2, S1, SEALING, SIGNING))
    assert (active(device), device.mcuboot) == (1, 1)
    send(device, mcuboot_image(3, S0, SEALING, SIGNING))
    assert (active(device), device.mcuboot) == (0, 0)


def test_the_active_slot_is_that_of_the_higher_version_whatever_b0_says() -> None:
    """The hook compares versions only: it names a MCUboot that b0 has marked as invalid."""
    device = board()
    send(device, mcuboot_image(2, S1, STRANGER, SIGNING))
    assert (device.mcuboot, active(device)) == (0, 1)


def test_without_any_mcuboot_in_the_slots_the_active_one_is_not_valid() -> None:
    device = board()
    for slot in NRF5340DK_B0.nsib.slots if NRF5340DK_B0.nsib else ():
        device.chip.bus.area(slot).erase_all()  # while the application runs
    found = ask(device, BootloaderInfo(ACTIVE_B0_SLOT))
    assert isinstance(found, DeviceError)
    assert (found.group, found.rc) == (0, OsRc.QUERY_RESPONSE_VALUE_NOT_VALID)


def test_a_device_without_b0_does_not_know_the_query() -> None:
    bench = Bench(NRF5340DK_STAGED)
    device = VirtualNrf5340(NRF5340DK_STAGED, bench.keys)
    device.load_app(bench.app_image(1))
    device.reset()
    found = ask(device, BootloaderInfo(ACTIVE_B0_SLOT))
    assert isinstance(found, DeviceError)
    assert (found.group, found.rc) == (0, OsRc.QUERY_YIELDS_NO_ANSWER)


def test_mcuboot_is_not_in_the_list_of_images() -> None:
    device = board()
    send(device, mcuboot_image(2, S1, SEALING, SIGNING))
    found = ask(device, StateRead())
    assert isinstance(found, StateReply)
    assert [(line.image, line.slot) for line in found.images] == [(0, 0)]


@pytest.mark.parametrize("recovers", [False, True])
def test_a_device_whose_b0_starts_nothing_is_silent(recovers: bool) -> None:
    device = board(recovers=recovers)
    device.chip.bus.area(S0).erase_all()
    result = device.reset()
    assert result is not None
    assert (result.ending, device.ending, device.running, device.recovery) == (
        Ending.NO_BOOTLOADER,
        Ending.NO_BOOTLOADER,
        None,
        None,
    )
    assert device.answers(BootloaderInfo().to_bytes(7, 2)) == []
    assert device.enter_recovery().ending is Ending.NO_BOOTLOADER
    assert device.recovery is None
    assert report(device).ending == "no bootloader"


def test_recovery_runs_in_the_mcuboot_that_b0_starts() -> None:
    device = board()
    device.enter_recovery()
    assert device.recovery is not None
    assert (device.mcuboot, device.log[-1]) == (0, "I: Enter the serial recovery mode")


def test_the_report_has_both_slots_the_keys_and_the_counter() -> None:
    device = board(keys=(SEALING, NEXT_SEALING))
    send(device, mcuboot_image(2, S1, NEXT_SEALING, SIGNING))
    found = report(device).b0
    assert found is not None
    assert [(one.name, one.version, one.signed_version, one.active) for one in found.slots] == [
        ("s0", 1, "1.0.0", False),
        ("s1", 2, "2.0.0", True),
    ]
    assert [key.revoked for key in found.keys] == [True, False]
    assert (found.lowest_version, found.counts_left, found.error) == (2, SLOTS - 2, None)
    device.chip.flashes["uicr"].load({})
    blank = report(device).b0
    assert blank is not None
    assert blank.error is not None
    assert [one.refusal for one in blank.slots] == [blank.error, blank.error]


def test_a_stored_device_keeps_which_mcuboot_runs() -> None:
    store_devices.create("desk", Recipe("nrf5340dk-b0", (SIGNING.public.to_pem().decode(),), mode="overwrite-only"))
    with store_devices.open_device("desk", switch_on=False) as device:
        install_b0(device, [SEALING.public], None, SEALING, SLOTS)
        device.load_app(DK.app_image(1))
        device.reset()
        # A loader that overwrites goes on as the old MCUboot: S0 runs although S1 is the next one.
        send(device, mcuboot_image(2, S1, SEALING, SIGNING))
        assert (device.mcuboot, device.layout.mode) == (0, BootMode.OVERWRITE_ONLY)
        assert _running("desk") == ["s0"]  # as another process sees it
    for _ in range(2):
        assert _running("desk") == ["s0"]
        with store_devices.open_device("desk") as device:
            assert device.mcuboot == 0
    with store_devices.open_device("desk") as device:
        device.reset()
    assert _running("desk") == ["s1"]


def _running(name: str) -> list[str]:
    found = report(store_devices.view_device(name)).b0
    return [] if found is None else [slot.name for slot in found.slots if slot.active]


def test_a_release_that_b0_cannot_start_makes_no_device() -> None:
    with pytest.raises(ValueError, match="cannot be started by b0"):
        store_devices.create("old", Recipe("nrf5340dk-b0", options=_upstream()))
    with pytest.raises(ConnectError):
        store_devices.open_device("old")


def _upstream() -> BootOptions:
    return BootOptions.from_dict({"loader": "upstream/pm"})


def test_what_is_no_mcuboot_for_these_slots_is_not_flashed() -> None:
    device = board()
    assert device.layout.nsib is not None
    for data in (DK.app_image(1), b"\xff" * 64, mcuboot_image(2, NRF5340DK_B0.primary, SEALING, SIGNING)):
        with pytest.raises(FormatError, match="no MCUboot for S0 or S1"):
            flash_mcuboot(device.chip, device.layout.nsib, data)


def test_without_keys_b0_checks_the_hash_only() -> None:
    device = board(keys=())
    assert "I: Firmware hash verified." in device.log
    send(device, mcuboot_image(2, S1, STRANGER, SIGNING))
    assert device.mcuboot == 1
    area = device.chip.bus.area(S1)
    firmware = bytearray(area.read(0x200, 4096 - 0x200))
    device.program(S1.start + 0x1800, bytes((firmware[0] ^ 0x55,)))
    device.reset()
    assert device.mcuboot is None  # S0 is below the counter, and S1 is damaged
