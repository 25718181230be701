"""MCUboot: what it swaps, confirms and reverts, and everything that it must not take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Image, Version
from smpdfu.image.trailer import max_image_size_bytes
from smpdfu.virtual.boot.bootloader import BootResult, Ending
from smpdfu.virtual.boot.slot import SlotError
from smpdfu.virtual.boot.swap.swap_type import SwapType

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

OLD, NEW = Version(1), Version(2)


@pytest.fixture(params=["plain", "encrypted"])
def updated(request: pytest.FixtureRequest) -> tuple[Bench, bytes, bytes]:
    """A device that runs an old image, the old image, and a new one that is encrypted where the device decrypts."""
    name = "bench" if request.param == "plain" else "encrypted_bench"
    device: Bench = request.getfixturevalue(name)
    old, new = device.app_image(1, version=OLD), device.app_image(2, version=NEW, encrypt=device.keys.decryption)
    device.write("primary", old)
    return device, old, new


def version_of(result: BootResult) -> Version | None:
    return None if result.running is None else result.running.header.version


# --- updates --------------------------------------------------------------------------------------------------------


def test_a_device_without_an_update_boots_what_it_has(bench: Bench) -> None:
    image = bench.app_image(1, version=OLD)
    bench.write("primary", image)
    before = bench.app.operations
    result = bench.boot()
    assert version_of(result) == OLD
    assert result.running is not None
    assert result.running.hash == Image.from_bytes(image).hash
    assert (result.swap_type, result.swapped, bench.app.operations) == (SwapType.NONE, False, before)


def test_a_tested_image_runs_once_and_goes_back_as_it_came(updated: tuple[Bench, bytes, bytes]) -> None:
    device, old, new = updated
    device.upload(new)
    first = device.boot()
    assert (version_of(first), first.swap_type, first.swapped) == (NEW, SwapType.TEST, True)
    assert device.holds("secondary", old)
    trailer = device.slots.primary.trailer()
    assert (trailer.magic, trailer.copy_done, trailer.image_ok) == ("good", "set", "unset")
    second = device.boot()
    assert (version_of(second), second.swap_type, second.swapped) == (OLD, SwapType.REVERT, True)
    assert device.holds("primary", old)
    assert device.holds("secondary", new)  # encrypted again, with the same key
    assert version_of(device.boot()) == OLD


def test_an_encrypted_image_lies_decrypted_in_the_primary_slot(encrypted_bench: Bench) -> None:
    device = encrypted_bench
    plain = device.app_image(2, size=9008, version=NEW)
    device.write("primary", device.app_image(1, version=OLD))
    device.upload(device.app_image(2, size=9008, version=NEW, encrypt=device.keys.decryption))
    device.boot()
    assert device.slots.primary.image().payload == Image.from_bytes(plain).payload
    assert device.slots.primary.image().encrypted


def test_a_confirmed_image_stays(updated: tuple[Bench, bytes, bytes]) -> None:
    device, old, new = updated
    device.upload(new)
    device.boot()
    device.slots.primary.set_confirmed()
    result = device.boot()
    assert (version_of(result), result.swapped) == (NEW, False)
    assert device.holds("secondary", old)


def test_a_permanent_image_is_confirmed_at_once(updated: tuple[Bench, bytes, bytes]) -> None:
    device, old, new = updated
    device.upload(new, permanent=True)
    result = device.boot()
    assert (version_of(result), result.swap_type) == (NEW, SwapType.PERM)
    assert device.slots.primary.trailer().image_ok == "set"
    assert version_of(device.boot()) == NEW
    assert device.holds("secondary", old)


def test_an_update_of_an_update_takes_the_newest(updated: tuple[Bench, bytes, bytes]) -> None:
    device, _, new = updated
    newest = device.app_image(3, 12000, version=Version(3), encrypt=device.keys.decryption)
    for image, version in ((new, NEW), (newest, Version(3)), (new, NEW)):
        device.upload(image, permanent=True)
        assert version_of(device.boot()) == version


@pytest.mark.parametrize(("beyond", "version"), [(0, NEW), (1, OLD)], ids=("largest", "too large"))
def test_the_largest_image_that_fits_is_swapped_and_one_byte_more_is_refused(
    bench: Bench, beyond: int, version: Version
) -> None:
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(image_of_size(bench, max_image_size_bytes(bench.layout.geometry()) + beyond))
    assert version_of(bench.boot()) == version
    assert bench.is_blank("secondary") == (version == OLD)


def image_of_size(bench: Bench, size: int) -> bytes:
    """An image of this size, signature and all; the length of a signature is a matter of luck."""
    overhead = len(bench.app_image(2, 9000)) - 9000
    images = (bench.app_image(seed, size - overhead, version=NEW) for seed in range(1000))
    return next(image for image in images if len(image) == size)


def test_overwriting_leaves_nothing_to_go_back_to(overwrite_bench: Bench) -> None:
    device = overwrite_bench
    new = device.app_image(2, version=NEW)
    device.write("primary", device.app_image(1, version=OLD))
    device.slots.primary.write_copy_done()  # left over from a loader that swapped
    device.upload(new)
    result = device.boot()
    assert (version_of(result), result.swapped) == (NEW, True)
    assert device.holds("primary", new)
    trailer = device.slots.primary.trailer()
    assert (trailer.magic, trailer.copy_done) == ("good", "unset")
    assert device.slots.secondary.header() is None
    assert device.slots.secondary.trailer().magic == "unset"
    again = device.boot()
    assert (version_of(again), again.swapped) == (NEW, False)


def test_overwriting_brings_in_the_first_image(overwrite_bench: Bench) -> None:
    overwrite_bench.upload(overwrite_bench.app_image(2, version=NEW))
    assert version_of(overwrite_bench.boot()) == NEW


def test_overwriting_decrypts(encrypted_bench: Bench, overwrite_bench: Bench) -> None:
    device = replace(overwrite_bench, keys=encrypted_bench.keys)
    device.upload(device.app_image(2, version=NEW, encrypt=device.keys.decryption))
    assert version_of(device.boot()) == NEW


# --- nothing to boot ------------------------------------------------------------------------------------------------


def test_an_empty_device_boots_nothing(bench: Bench) -> None:
    result = bench.boot()
    assert (result.running, result.ending) == (None, Ending.NO_IMAGE)
    assert bench.log[-1] == "E: Unable to find bootable image"


def test_an_empty_primary_slot_is_not_filled_from_the_secondary(bench: Bench) -> None:
    new = bench.app_image(2, version=NEW)
    bench.upload(new)
    assert bench.boot().running is None
    assert bench.holds("secondary", new)
    assert "W: Failed reading image headers; Image=0" in bench.log


def test_a_primary_image_that_is_linked_elsewhere_crashes(bench: Bench) -> None:
    bench.write("primary", bench.linked_image(0x0))
    result = bench.boot()
    assert (result.running, result.ending) == (None, Ending.CRASH)


# --- trailers -------------------------------------------------------------------------------------------------------


def test_a_mark_without_an_image_is_removed(bench: Bench) -> None:
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.slots.secondary.set_pending(permanent=False)
    assert version_of(bench.boot()) == OLD
    assert bench.is_blank("secondary")


def test_a_revert_without_an_image_to_go_back_to_is_given_up(bench: Bench) -> None:
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(bench.app_image(2, version=NEW))
    bench.boot()
    bench.slots.secondary.area.erase_all()
    assert version_of(bench.boot()) == NEW
    assert "I: Cleared image 0 primary slot trailer due to stuck revert" in bench.log
    assert bench.slots.primary.trailer().magic == "unset"


def test_the_log_has_mcuboot_s_words(bench: Bench) -> None:
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(bench.app_image(2, version=Version(2, 3, 4, 5)))
    bench.boot()
    assert bench.log == [
        "*** Booting MCUboot v2.3.0-dev-e994ef4e2828 ***",
        "*** Using nRF Connect SDK v3.4.99 ***",
        "I: Starting bootloader",
        "I: Primary image: magic=unset, swap_type=0x1, copy_done=0x3, image_ok=0x3",
        "I: Secondary image: magic=good, swap_type=0x2, copy_done=0x3, image_ok=0x3",
        "I: Boot source: none",
        "I: Image index: 0, Swap type: test",
        "I: Starting swap using move algorithm.",
        f"I: Bootloader chainload address offset: 0x{bench.layout.primary.start:x}",
        "I: Image version: v2.3.4",
        "I: Jumping to the first image slot",
    ]


def test_marking_twice_changes_nothing(bench: Bench) -> None:
    bench.upload(bench.app_image(2), permanent=True)
    before = bench.slots.secondary.area.read_all()
    bench.slots.secondary.set_pending(permanent=False)
    assert bench.slots.secondary.area.read_all() == before


def test_a_corrupt_mark_costs_the_image(bench: Bench) -> None:
    slot = bench.slots.secondary
    slot.area.program(slot.area.size_bytes - 4, bytes(4))
    with pytest.raises(SlotError, match="corrupt"):
        slot.set_pending(permanent=False)
    assert bench.is_blank("secondary")
    primary = bench.slots.primary
    primary.area.program(primary.area.size_bytes - 4, bytes(4))
    with pytest.raises(SlotError, match="corrupt"):
        primary.set_confirmed()


def test_confirming_what_is_confirmed_writes_nothing(bench: Bench) -> None:
    bench.write("primary", bench.app_image(1))
    before = bench.app.operations
    bench.slots.primary.set_confirmed()
    assert bench.app.operations == before
