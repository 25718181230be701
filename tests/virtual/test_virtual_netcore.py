"""The network core: the hand-over of its firmware, what b0n takes, and that there is no way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import FormatError
from smpdfu.image.format import Image, Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.nsib.seal import refusal as nsib_refusal
from smpdfu.image.nsib.seal import seal
from smpdfu.loaders.releases import LATEST, releases_of
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootResult, Ending
from smpdfu.virtual.boot.build import BootOptions
from smpdfu.virtual.boot.network.netcore import COPY, DONE, FAIL, PcdCommand
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.flash import Flash, PowerCut

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

OLD, NEW = Version(1), Version(2)
NCS_3_3 = releases_of("3.3")[0]
STRANGER = generate("ecdsa-p256")


@pytest.fixture(params=["bench", "provisioned_bench"])
def device(request: pytest.FixtureRequest) -> Bench:
    """A device that runs an application and network firmware number 1."""
    made: Bench = request.getfixturevalue(request.param)
    return with_network_firmware(made)


def with_network_firmware(made: Bench) -> Bench:
    made.write("primary", made.app_image(1, version=OLD))
    made.upload(made.net_image(1))
    made.boot()
    start_network(made)
    assert made.net.running
    return made


def start_network(made: Bench) -> bool:
    """What the application does when it runs."""
    made.net.start(made.app)
    return made.net.running


def runs(made: Bench, image: bytes) -> bool:
    """True if this firmware is in the network core's flash, and starts."""
    payload = Image.from_bytes(image).payload
    return made.net.app.read(0, len(payload)) == payload and start_network(made)


def version_of(result: BootResult) -> Version | None:
    return None if result.running is None else result.running.header.version


# --- updates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("permanent", [False, True], ids=("test", "permanent"))
@pytest.mark.parametrize("size", [5000, 9001, 19000])
def test_a_network_image_goes_to_the_network_core(device: Bench, permanent: bool, size: int) -> None:
    image = device.net_image(2, size)
    device.upload(image, permanent=permanent)
    application = device.slots.primary.area.read_all()
    result = device.boot()
    assert result.net_updated
    assert (version_of(result), result.swap_type, result.swapped) == (OLD, SwapType.NONE, False)
    assert device.slots.primary.area.read_all() == application
    assert runs(device, image)


def test_there_is_no_second_hand_over_and_no_revert(device: Bench) -> None:
    image = device.net_image(2)
    device.upload(image)
    device.boot()
    assert device.slots.secondary.trailer().magic == "unset"
    assert device.holds("secondary", image)  # listed, and not pending
    operations = device.net_flash.operations
    assert not device.boot().net_updated
    assert device.net_flash.operations == operations
    assert runs(device, image)


def test_a_bootloader_that_overwrites_erases_the_header_too(overwrite_bench: Bench) -> None:
    device = with_network_firmware(overwrite_bench)
    assert device.slots.secondary.header() is None
    assert device.slots.secondary.trailer().magic == "unset"
    assert version_of(device.boot()) == OLD


def test_the_log_tells_of_the_hand_over(device: Bench) -> None:
    device.upload(device.net_image(2))
    device.log.clear()
    device.boot()
    start = device.log.index("I: Starting network core update")
    assert device.log[start : start + 4] == [
        "I: Starting network core update",
        "I: Turned on network core",
        "I: Turned off network core",
        "I: Done updating network core",
    ]


def test_plain_zephyr_runs_on_an_unprovisioned_network_core(bench: Bench) -> None:
    device = with_network_firmware(bench)
    image = device.net_image(2, seal=None)
    device.upload(image)
    assert device.boot().net_updated
    assert runs(device, image)


# --- refusals by MCUboot --------------------------------------------------------------------------------------------


def test_mcuboot_checks_a_network_image_as_any_other(device: Bench) -> None:
    before = device.net.app.read_all()
    device.upload(device.net_image(2, key=STRANGER))
    assert not device.boot().net_updated
    assert device.is_blank("secondary")
    assert device.net.app.read_all() == before


def test_without_a_network_core_its_image_is_for_nobody(device: Bench) -> None:
    device.upload(device.net_image(2))
    core = device.net
    device.net = None  # type: ignore[assignment]  # a bootloader that was built without PCD
    before = core.app.read_all()
    assert device.boot().ending is Ending.CRASH  # it is taken for an application
    assert version_of(device.boot()) == OLD
    assert core.app.read_all() == before


def test_an_encrypted_network_image_is_not_recognised_and_the_device_does_not_run(encrypted_bench: Bench) -> None:
    device = with_network_firmware(encrypted_bench)
    before = device.net.app.read_all()
    image = device.net_image(2, version=NEW, encrypt=device.keys.decryption)
    device.upload(image)
    result = device.boot()
    assert (result.swap_type, result.net_updated, result.ending) == (SwapType.TEST, False, Ending.CRASH)
    assert device.net.app.read_all() == before
    assert version_of(device.boot()) == OLD  # a watchdog's reset reverts it
    assert device.holds("secondary", image)


# --- refusals by b0n ------------------------------------------------------------------------------------------------


def test_b0n_checks_before_it_copies(provisioned_bench: Bench) -> None:
    device = with_network_firmware(provisioned_bench)
    device.upload(device.net_image(2, seal=None))
    result = device.boot()
    assert (version_of(result), result.swap_type, result.net_updated) == (OLD, SwapType.FAIL, False)
    assert "E: Network core update failed" in device.log
    assert device.slots.primary.trailer().image_ok == "set"
    assert runs(device, device.net_image(1))


def test_a_hand_over_that_failed_is_tried_once_by_3_4_1_and_at_each_boot_by_older_loaders(
    provisioned_bench: Bench,
) -> None:
    device = with_network_firmware(provisioned_bench)
    image = device.net_image(2, seal=STRANGER)
    for release, ends in ((LATEST, (SwapType.FAIL, SwapType.NONE, SwapType.NONE)), (NCS_3_3, (SwapType.FAIL,) * 3)):
        device.keys = replace(device.keys, options=BootOptions(loader=Loader(release)))
        device.upload(image)
        assert tuple(device.boot().swap_type for _ in range(3)) == ends
        assert device.holds("secondary", image)
        assert (device.slots.secondary.trailer().magic == "good") == (release is NCS_3_3)


class WornFlash(Flash):
    """Flash that no longer takes what is written."""

    def program(self, address: int, data: bytes) -> None:
        super().program(address, data[: len(data) // 2])


def test_b0n_checks_what_it_copied(provisioned_bench: Bench) -> None:
    device = with_network_firmware(provisioned_bench)
    flash = device.layout.net.flash
    device.net.flash = WornFlash(flash.start, flash.size_bytes, page_size=device.layout.net.page_size)
    device.upload(device.net_image(2))
    assert device.boot().swap_type is SwapType.FAIL
    assert start_network(device)  # b0n looks for firmware info, and that was copied whole
    assert not device.net.is_whole


def test_firmware_that_does_not_fit_is_not_copied(bench: Bench) -> None:
    device = with_network_firmware(bench)
    before = device.net.app.read_all()
    cramped = replace(device.layout.net, flash=replace(device.layout.net.flash, size_bytes=0x8800 + 2 * 2048))
    device.net.layout = cramped
    device.upload(device.net_image(2, seal=None))
    assert device.boot().swap_type is SwapType.FAIL
    assert "Failed to transfer image: -12" in device.log
    assert device.net.app.read_all() == before


ADDRESS = 0x0100_8800
Change = Callable[[bytearray], object]
TAMPERED: dict[str, tuple[Change, str]] = {
    "no info": (lambda data: flip(data, 0x200), "Invalid firmware info format."),
    "invalidated": (lambda data: flip(data, 0x200 + 32), "Firmware has been invalidated: 0x9102fffe."),
    "for elsewhere": (lambda data: flip(data, 0x200 + 24), "The firmware doesn't belong at destination addr."),
    "size wrong": (lambda data: flip(data, 0x200 + 17), "Could not find valid firmware validation info."),
    "no seal": (lambda data: flip(data, 5000), "Could not find valid firmware validation info."),
    "another's seal": (lambda data: flip(data, 5012), "Validation info doesn't belong to this firmware."),
    "hash": (lambda data: flip(data, 5016), "Firmware validation failed."),
    "payload": (lambda data: flip(data, 3000), "Firmware validation failed."),
    "public key": (lambda data: flip(data, 5048), "Firmware validation failed."),
    "signature": (lambda data: flip(data, 5112), "Firmware validation failed."),
}


def flip(data: bytearray, offset: int) -> None:
    data[offset] ^= 1


def sealed(bench: Bench) -> bytes:
    payload = Image.from_bytes(bench.net_image(2, 5000)).payload
    assert len(payload) == 5000 + 176
    return payload


def test_b0n_takes_what_is_sealed_for_it(provisioned_bench: Bench) -> None:
    assert nsib_refusal(sealed(provisioned_bench), ADDRESS, provisioned_bench.keys.net_verifiers) is None
    assert nsib_refusal(sealed(provisioned_bench), ADDRESS, (STRANGER.public,)) == "Firmware validation failed."


@pytest.mark.parametrize(("change", "reason"), TAMPERED.values(), ids=TAMPERED)
def test_b0n_refuses_what_was_changed(provisioned_bench: Bench, change: Change, reason: str) -> None:
    firmware = bytearray(sealed(provisioned_bench))
    change(firmware)
    assert nsib_refusal(bytes(firmware), ADDRESS, provisioned_bench.keys.net_verifiers) == reason


def test_without_keys_b0n_goes_by_the_hash(provisioned_bench: Bench) -> None:
    firmware = bytearray(sealed(provisioned_bench))
    flip(firmware, 5112)
    assert nsib_refusal(bytes(firmware), ADDRESS, ()) is None
    flip(firmware, 3000)
    assert nsib_refusal(bytes(firmware), ADDRESS, ()) == "Firmware validation failed."


@pytest.mark.parametrize("cut", [0x200 + 59, 5000 + 175])
def test_b0n_reads_nothing_beyond_the_end(provisioned_bench: Bench, cut: int) -> None:
    assert nsib_refusal(sealed(provisioned_bench)[:cut], ADDRESS, ()) is not None


@pytest.mark.parametrize("size", range(5000, 5004))
def test_a_seal_stands_at_the_next_word(provisioned_bench: Bench, size: int) -> None:
    payload = Image.from_bytes(provisioned_bench.net_image(2, size)).payload
    assert len(payload) == 5000 + 176 + (4 if size > 5000 else 0)
    assert nsib_refusal(payload, ADDRESS, provisioned_bench.keys.net_verifiers) is None


@pytest.mark.parametrize("seed", range(40))
def test_signatures_of_every_length_are_carried(provisioned_bench: Bench, seed: int) -> None:
    """r and s of a DER signature have 32 or 33 bytes, now and then fewer."""
    payload = Image.from_bytes(provisioned_bench.net_image(seed, 1000, seal=STRANGER)).payload
    assert nsib_refusal(payload, ADDRESS, (STRANGER.public,)) is None
    assert payload[-128:-64] == STRANGER.public_bytes[-64:]


def test_only_firmware_that_describes_itself_is_sealed(bench: Bench) -> None:
    plain = Image.from_bytes(bench.net_image(2, seal=None)).payload
    with pytest.raises(FormatError, match="no firmware info"):
        seal(plain, ADDRESS, STRANGER)
    described = sealed(bench)[:5000]
    for firmware, address, code in ((described, 0, "seal-address"), (described[:-4], ADDRESS, "seal-size")):
        with pytest.raises(FormatError) as refused:
            seal(firmware, address, STRANGER)
        assert refused.value.code == code


# --- the command in shared RAM --------------------------------------------------------------------------------------


def test_the_command_says_where_the_raw_payload_lies(device: Bench) -> None:
    image = device.net_image(2)
    device.upload(image)
    device.boot()
    command = PcdCommand.from_bytes(device.net.ram)
    header = Image.from_bytes(image).header
    assert command == PcdCommand(DONE, device.layout.secondary.start + 0x200, header.img_size, 0x8800)


def test_an_answer_in_ram_is_no_command_and_is_gone_without_power(provisioned_bench: Bench) -> None:
    device = with_network_firmware(provisioned_bench)
    device.upload(device.net_image(2, seal=None))
    device.boot()
    assert PcdCommand.from_bytes(device.net.ram).magic == FAIL
    assert start_network(device)
    device.net.power_off()
    assert not device.net.running
    assert device.net.ram == bytes(16)
    assert PcdCommand.from_bytes(device.net.ram).magic != COPY


def test_an_empty_network_core_does_not_run(device: Bench) -> None:
    device.net_flash.erase(device.layout.net.app.start, device.layout.net.app.size_bytes)
    assert not start_network(device)


# --- power cuts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", ["app", "net_flash"])
def test_a_hand_over_that_was_cut_is_repeated(device: Bench, core: str) -> None:
    old, new = device.net_image(1), device.net_image(2)
    flash = getattr(device, core)
    before = flash.operations
    device.upload(new)
    started = flash.operations if core == "app" else before
    device.boot()
    operations = flash.operations - started
    assert operations >= 1
    for cut in range(operations):
        device.upload(old)
        device.boot()
        device.upload(new)
        flash.power.cut_after = cut
        with pytest.raises(PowerCut):
            device.boot()
        device.net.power_off()
        assert version_of(device.boot()) == OLD
        assert runs(device, new)
