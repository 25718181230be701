"""What both cores of a virtual nRF5340 must do as the real ones do, numbered; one test for each, by its number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Dependency, Image, Version
from smpdfu.image.trailer import SwapMode
from smpdfu.smp.groups.image import ImageRc, StateWrite
from smpdfu.smp.groups.os import Echo, EchoReply
from smpdfu.virtual.boot.build import BootOptions

if TYPE_CHECKING:
    from tests.virtual.behaviour_board import ENCRYPTING, NET_KEYS, NEW, Board, simultaneous
    from tests.virtual.virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        net_firmware,
        small_layout,
    )
else:
    from behaviour_board import ENCRYPTING, NET_KEYS, NEW, Board, simultaneous
    from virtual_bench import (
        DECRYPTION,
        NET_SIGNING,
        SIGNING,
        Bench,
        net_firmware,
        small_layout,
    )

# --- staged network core --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirm", [False, True])
def test_12_a_network_image_goes_to_the_network_core_and_the_application_does_not_swap(confirm: bool) -> None:
    board = Board()
    image = board.bench.net_image(2, version=NEW)
    board.update(image, confirm=confirm)
    assert board.net_holds(image)
    assert (board.version, board.device.radio_up) == (Version(1), True)
    assert board.device.boot_s >= 1.0  # MCUboot looks once a second


@pytest.mark.parametrize("mode", [SwapMode.MOVE, SwapMode.OVERWRITE_ONLY])
def test_13_its_trailer_is_erased_and_where_nothing_is_swapped_its_header_too(mode: SwapMode) -> None:
    board = Board(Bench(small_layout(mode), NET_KEYS))
    board.update(board.bench.net_image(2, version=NEW))
    assert board.bench.slots.secondary.trailer().magic == "unset"
    assert (board.bench.slots.secondary.header() is None) == (mode is SwapMode.OVERWRITE_ONLY)
    assert len(board.listed()) == (2 if mode is SwapMode.MOVE else 1)


def test_14_the_network_core_does_not_revert() -> None:
    board = Board()
    image = board.bench.net_image(2, version=NEW)
    for _ in range(2):
        board.update(image) if not board.net_holds(image) else board.device.reset()
    assert board.net_holds(image)


def test_15_without_its_validation_b0n_refuses_it_and_only_the_radio_suffers() -> None:
    """b0n looks before it copies: what ran stays. What a debugger puts there without a seal does not start."""
    board = Board()
    old, bad = board.bench.net_image(1), board.bench.net_image(2, seal=SIGNING, version=NEW)
    board.update(bad)
    assert board.net_holds(old)
    assert (board.version, board.device.radio_up) == (Version(1), True)
    board.device.load_net(net_firmware(3, board.bench.layout.net.app.start, 9000))
    board.device.reset()
    assert not board.device.radio_up
    assert board.ask(Echo("serial lives")) == EchoReply("serial lives")


def test_16_an_encrypted_network_image_in_the_staged_scheme_stops_the_device() -> None:
    board = Board(Bench(keys=ENCRYPTING))
    board.update(board.bench.net_image(2, version=NEW, encrypt=DECRYPTION))
    assert board.device.running is None
    assert board.device.answers(Echo("x").to_bytes(1)) == []
    board.device.reset()  # the watchdog
    assert board.version == Version(1)


# --- simultaneous ---------------------------------------------------------------------------------------------------


def test_17_one_reset_updates_both_cores_and_nothing_is_reverted() -> None:
    board = simultaneous()
    app, net = board.bench.app_image(2, version=NEW), board.bench.net_image(2, version=NEW)
    board.upload(net, 1, confirm=False)
    board.upload(app, 0, confirm=False)
    assert [line[:3] for line in board.listed()] == [(0, 0, "1.0.0"), (0, 1, "2.0.0"), (1, 1, "2.0.0")]
    for _ in range(2):
        board.device.reset()
        assert (board.version, board.net_holds(net), board.device.radio_up) == (NEW, True, True)
    assert board.listed() == [(0, 0, "2.0.0", True)]  # the network core's primary slot is RAM


def test_18_image_1_cannot_be_confirmed() -> None:
    board = simultaneous()
    net = board.bench.net_image(2, version=NEW)
    board.upload(net, 1)
    assert board.refusal(StateWrite(Image.from_bytes(net).hash, True)) == ImageRc.IMAGE_CONFIRMATION_DENIED
    assert board.refusal(StateWrite(Image.from_bytes(net).hash, False)) is None


def test_19_encrypted_images_of_both_cores_work_there() -> None:
    board = simultaneous(ENCRYPTING)
    app = board.bench.app_image(2, version=NEW, encrypt=DECRYPTION)
    net = board.bench.net_image(2, version=NEW, encrypt=DECRYPTION)
    board.upload(net, 1, confirm=False)
    board.upload(app, 0, confirm=False)
    board.device.reset()
    plain = board.bench.net_image(2, version=NEW)
    assert (board.version, board.net_holds(plain), board.device.radio_up) == (NEW, True, True)


# The network core's own slot always says 0.0.0, so what is there counts for nothing; nobody asks for an image 2.
NEEDS = [("2.0.0", 0, True), ("2.0.1", 0, False), ("1.0.0", 1, False), ("0.0.0", 1, True), ("0.0.0", 2, True)]


@pytest.mark.parametrize(("version", "on", "met"), NEEDS)
def test_20_an_image_with_an_unmet_dependency_is_not_installed(version: str, on: int, met: bool) -> None:
    board = simultaneous()
    needs = (Dependency(on, Version.from_text(version)),)
    app = board.bench.app_image(2, version=NEW, dependencies=needs)
    board.upload(app, 0, confirm=False)
    board.device.reset()
    assert (board.version == NEW) == met
    if not met:
        assert board.bench.slots.secondary.trailer().magic == "good"  # and is tried again at each boot


def test_20_what_comes_with_it_counts() -> None:
    board = simultaneous()
    net = board.bench.net_image(2, version=NEW)
    app = board.bench.app_image(2, version=NEW, dependencies=(Dependency(1, NEW),))
    board.upload(net, 1, confirm=False)
    board.upload(app, 0, confirm=False)
    board.device.reset()
    assert (board.version, board.net_holds(net)) == (NEW, True)


# --- power, downgrades, interfaces ----------------------------------------------------------------------------------


def test_21_a_cut_copy_to_the_network_core_is_repeated_while_the_image_is_pending() -> None:
    board = Board()
    image, power = board.bench.net_image(2, version=NEW), board.device.chip.power
    board.upload(image, confirm=False)
    power.cut_after = 3
    assert board.device.reset() is None
    assert not board.net_holds(image)
    board.device.reset()
    assert (board.net_holds(image), board.device.radio_up) == (True, True)


def test_21_a_network_core_that_lost_its_image_has_no_radio() -> None:
    board = Board()
    image, power = board.bench.net_image(2, version=NEW), board.device.chip.power
    board.upload(image, confirm=False)
    power.cut_after = 3
    assert board.device.reset() is None
    board.bench.slots.secondary.area.erase_all()
    board.device.reset()
    assert (board.version, board.device.radio_up) == (Version(1), False)


@pytest.mark.parametrize("mode", SwapMode)
def test_22_downgrade_prevention_erases(mode: SwapMode) -> None:
    keys = replace(NET_KEYS, options=BootOptions(downgrade_prevention=True))
    board = Board(Bench(small_layout(mode), keys))
    board.update(board.bench.app_image(2, version=NEW), confirm=True)
    board.upload(board.bench.app_image(3, version=Version(1, 9)), confirm=True)
    board.device.reset()
    assert board.version == NEW
    assert board.bench.is_blank("secondary")


def test_23_cores_that_speak_different_interfaces_have_no_radio() -> None:
    board = Board()
    speaking = [b"smpdfu-interface:%d;" % number for number in (1, 2)]
    payload = board.bench.payload(board.bench.layout.primary.start + 0x200)
    for app, up in ((speaking[0], True), (speaking[1], False), (b"", True)):
        address = board.bench.layout.net.app.start
        board.device.load_net(b0n_sealed(net_firmware(1, address, 9000) + speaking[0] + bytes(12), address))
        board.device.load_app(board.bench.image(payload + app))
        board.device.reset()
        assert board.device.radio_up == up
        assert board.version is not None  # the application runs either way


def b0n_sealed(firmware: bytes, address: int) -> bytes:
    from smpdfu.image.nsib.firmware_info import FirmwareInfo
    from smpdfu.image.nsib.seal import seal

    info = FirmwareInfo(len(firmware), 1, address).to_bytes()
    return seal(firmware[:0x200] + info + firmware[0x200 + len(info) :], address, NET_SIGNING)
