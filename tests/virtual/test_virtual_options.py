"""What else MCUboot can be built with: downgrade prevention, security counters, other ways of swapping, two images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.image.format import Dependency, Image, Version
from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.releases import UPSTREAM
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions, BootResult
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.layout import OTP
from smpdfu.virtual.server.slot_content import content_of

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import NET_SIGNING, SIGNING, Bench, small_layout, small_simultaneous
else:
    from virtual_bench import NET_SIGNING, SIGNING, Bench, small_layout, small_simultaneous

OLD, NEW = Version(1), Version(2)
SWAPS = (SwapMode.SCRATCH, SwapMode.MOVE, SwapMode.OFFSET)


def built(mode: SwapMode = SwapMode.MOVE, images: int = 1, **options: Any) -> Bench:
    """A device with an old image, whose MCUboot was built with these options."""
    layout = replace(small_layout(mode, images), otp=OTP)
    bench = Bench(layout, BootKeys((SIGNING.public,), options=BootOptions(**options)))
    for number in range(images):
        bench.write("primary", bench.app_image(1, number=number, version=OLD, security_counter=5), number)
    return bench


def version_of(result: BootResult) -> Version | None:
    return None if result.running is None else result.running.header.version


# --- downgrade prevention -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", SwapMode)
@pytest.mark.parametrize(("version", "taken"), [("1.0.1", True), ("1.0.0+7", True), ("0.9.9", False)])
def test_versions_are_compared_without_the_build_number(mode: SwapMode, version: str, taken: bool) -> None:
    bench = built(mode, downgrade_prevention=True)
    image = bench.app_image(2, version=Version.from_text(version))
    bench.upload(image, permanent=True)
    assert (version_of(bench.boot()) == Version.from_text(version)) == taken
    if not taken:
        assert bench.is_blank("secondary")
        words = "Insufficient version" if mode is SwapMode.OVERWRITE_ONLY else "erased due to downgrade prevention"
        assert any(words in line for line in bench.log)


@pytest.mark.parametrize("mode", SWAPS)
@pytest.mark.parametrize(("counter", "taken"), [(5, True), (6, True), (4, False), (None, False)])
def test_counters_in_the_images_are_compared(mode: SwapMode, counter: int | None, taken: bool) -> None:
    bench = built(mode, downgrade_prevention=True, by_counter=True)
    bench.upload(bench.app_image(2, version=Version(0, 1), security_counter=counter))
    assert (version_of(bench.boot()) == Version(0, 1)) == taken


def test_a_revert_is_no_downgrade() -> None:
    bench = built(downgrade_prevention=True)
    bench.upload(bench.app_image(2, version=NEW))
    assert [version_of(bench.boot()) for _ in range(2)] == [NEW, OLD]


@pytest.mark.parametrize(("counter", "reads", "taken"), [(3, True, True), (2, True, False), (2, False, True)])
def test_network_firmware_is_compared_by_its_own_counter_if_at_all(counter: int, reads: bool, taken: bool) -> None:
    options = BootOptions(downgrade_prevention=True, reads_net_version=reads)
    keys = BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,), options=options)
    bench = Bench(small_simultaneous(), keys)
    bench.write("primary", bench.app_image(1))
    old = Image.from_bytes(bench.net_image(1, counter=3)).payload
    bench.net_flash.program(bench.layout.net.app.start, old + b"\xff" * (-len(old) % 4))
    new = bench.net_image(2, version=Version(0), counter=counter)
    bench.upload(new, number=1)
    bench.boot()
    assert (bench.net.app.read(0, 200) == Image.from_bytes(new).payload[:200]) == taken


# --- counters that are remembered -----------------------------------------------------------------------------------


def test_the_counter_of_a_confirmed_image_is_remembered_and_that_of_a_test_is_not() -> None:
    bench = built(rollback_protection=True)
    bench.boot()
    bench.upload(bench.app_image(2, version=NEW, security_counter=9))
    assert [version_of(bench.boot()) for _ in range(2)] == [NEW, OLD]
    bench.upload(bench.app_image(2, version=NEW, security_counter=9), permanent=True)
    assert version_of(bench.boot()) == NEW
    bench.upload(bench.app_image(3, version=Version(3), security_counter=8), permanent=True)
    assert version_of(bench.boot()) == NEW
    assert bench.is_blank("secondary")


@pytest.mark.parametrize("mode", SwapMode)
def test_a_lower_counter_is_refused_in_every_mode(mode: SwapMode) -> None:
    bench = built(mode, rollback_protection=True)
    bench.boot()
    for counter, taken in ((4, False), (None, False), (6, True), (5, False)):
        bench.upload(bench.app_image(2, version=NEW, security_counter=counter), permanent=True)
        before = bench.slots.primary.image().to_bytes()
        bench.boot()
        assert (bench.slots.primary.image().to_bytes() != before) == taken


def test_a_debugger_cannot_bring_back_what_is_too_old() -> None:
    bench = built(rollback_protection=True)
    bench.upload(bench.app_image(2, version=NEW, security_counter=9), permanent=True)
    bench.boot()
    bench.write("primary", bench.app_image(1, version=OLD, security_counter=5))
    assert bench.boot().running is None


def test_counters_want_a_place() -> None:
    bench = built(rollback_protection=True)
    with pytest.raises(ValueError, match="no memory for security counters"):
        Bench(replace(bench.layout, otp=None), bench.keys).boot()


def test_a_counter_without_room_stops_the_bootloader() -> None:
    bench = built(rollback_protection=True)
    bench.chip.flashes["uicr"].program(OTP.start, bytes(OTP.size_bytes // 4 * 4))
    assert bench.boot().running is None
    assert bench.log[-1] == 'assertion "rc == 0" failed'


# --- slots that do not go together ----------------------------------------------------------------------------------


def uneven(mode: SwapMode, more: int) -> Bench:
    """A device whose secondary slot has so many sectors more than the primary one."""
    layout = small_layout(mode)
    pair, step = layout.images[0], 4096 * abs(more)
    if more > 0:
        primary, secondary = replace(pair.primary, size_bytes=pair.primary.size_bytes - step), pair.secondary
    else:
        primary, secondary = pair.primary, replace(pair.secondary, size_bytes=pair.secondary.size_bytes - step)
    bench = Bench(replace(layout, images=(replace(pair, primary=primary, other=secondary),)))
    bench.write("primary", bench.app_image(1, version=OLD))
    return bench


UNEVEN = [
    (SwapMode.MOVE, -1, True),
    (SwapMode.MOVE, 1, False),
    (SwapMode.MOVE, -2, False),
    (SwapMode.OFFSET, 1, True),
    (SwapMode.OFFSET, -1, False),
    (SwapMode.OFFSET, 2, False),
    (SwapMode.SCRATCH, 1, False),
    (SwapMode.OVERWRITE_ONLY, -1, False),
]


@pytest.mark.parametrize(("mode", "more", "taken"), UNEVEN)
def test_slots_of_different_sizes_are_updated_only_where_the_way_of_swapping_wants_it(
    mode: SwapMode, more: int, taken: bool
) -> None:
    bench = uneven(mode, more)
    bench.upload(bench.app_image(2, version=NEW))
    assert [version_of(bench.boot()) for _ in range(2)] == ([NEW, OLD] if taken else [OLD, OLD])
    assert any(line.startswith("W: Cannot upgrade: ") for line in bench.log) != taken


@pytest.mark.parametrize(("beyond", "version"), [(0, NEW), (1, OLD)], ids=("largest", "too large"))
def test_a_secondary_slot_with_one_sector_more_lets_images_fill_the_primary_one(beyond: int, version: Version) -> None:
    bench = uneven(SwapMode.OFFSET, 1)
    room = bench.layout.primary.size_bytes - 4096  # all but the trailer's sector
    overhead = len(bench.app_image(2, 9000)) - 9000
    images = (bench.app_image(seed, room + beyond - overhead, version=NEW) for seed in range(1000))
    bench.upload(next(image for image in images if len(image) == room + beyond))
    assert version_of(bench.boot()) == version


# --- the simultaneous scheme, when b0n says no ----------------------------------------------------------------------


def test_a_network_image_that_b0n_refuses_stops_mcuboot_at_every_boot() -> None:
    bench = Bench(small_simultaneous(), BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,)))
    bench.write("primary", bench.app_image(1))
    bench.upload(bench.net_image(2, seal=SIGNING), number=1)
    for _ in range(2):
        assert bench.boot().running is None
        assert bench.log[-2:] == ["E: Network core update failed", 'assertion "rc == 0" failed']
    bench.upload(bench.net_image(3), number=1)
    assert bench.boot().running is not None


def test_an_image_for_the_other_core_is_erased() -> None:
    bench = Bench(small_simultaneous(), BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,)))
    bench.write("primary", bench.app_image(1))
    bench.upload(bench.app_image(2, version=NEW), number=1)
    bench.upload(bench.net_image(2, version=NEW), number=0)
    assert version_of(bench.boot()) == OLD
    for number in range(2):
        secondary = bench.slots_of(number).secondary.area
        assert secondary.read_all().count(0xFF) == secondary.size_bytes


# --- two images in a swap mode --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", SWAPS)
def test_two_images_are_tested_and_reverted_together(mode: SwapMode) -> None:
    bench = built(mode, images=2)
    for number in range(2):
        bench.upload(bench.app_image(2, number=number, version=NEW), number=number)
    for version, kind in ((NEW, SwapType.TEST), (OLD, SwapType.REVERT), (OLD, SwapType.NONE)):
        result = bench.boot()
        assert result.swap_types == (kind, kind)
        assert {bench.slots_of(number).primary.image().header.version for number in range(2)} == {version}


MET, ALONE, CANCELLED = (SwapType.TEST,) * 2, (SwapType.TEST, SwapType.NONE), (SwapType.NONE,) * 2


@pytest.mark.parametrize("mode", SWAPS)
@pytest.mark.parametrize(
    ("loader", "needed", "done"),
    [
        (Loader(), "2.0.0", MET),
        (Loader(), "2.1.0", ALONE),
        (Loader(UPSTREAM), "2.0.0", MET),
        (Loader(UPSTREAM), "2.1.0", CANCELLED),
    ],
)
def test_an_update_that_misses_another_is_not_made(
    mode: SwapMode, loader: Loader, needed: str, done: tuple[SwapType, ...]
) -> None:
    bench = built(mode, images=2, loader=loader)
    wants = (Dependency(0, Version.from_text(needed)),)
    bench.upload(bench.app_image(2, version=NEW), number=0)
    bench.upload(bench.app_image(2, number=1, version=NEW, dependencies=wants), number=1)
    assert bench.boot().swap_types == done


@pytest.mark.parametrize("mode", [SwapMode.OVERWRITE_ONLY, *SWAPS])
def test_upstream_updates_nothing_beside_an_image_whose_primary_slot_is_empty(mode: SwapMode) -> None:
    bench = built(mode, images=2, loader=Loader(UPSTREAM))
    bench.slots_of(1).primary.area.erase_all()
    bench.upload(bench.app_image(2, version=NEW), number=0)
    assert bench.boot().swap_types == CANCELLED
    assert bench.slots_of(0).primary.image().header.version == OLD
    assert bench.slots_of(0).secondary.trailer().magic == "good"


def test_a_bad_second_image_does_not_keep_the_first_from_being_updated() -> None:
    bench = built(images=2)
    bench.upload(bench.app_image(2, version=NEW), number=0)
    bench.upload(bench.app_image(2, number=1, version=NEW, key=NET_SIGNING), number=1)
    assert bench.boot().swap_types == (SwapType.TEST, SwapType.NONE)
    assert bench.slots_of(1).secondary.area.read_all().count(0xFF) == bench.slots_of(1).secondary.area.size_bytes


# --- swap using offset ----------------------------------------------------------------------------------------------


def test_an_update_is_looked_for_a_sector_into_the_slot_and_after_the_swap_the_old_image_at_its_start() -> None:
    bench = built(SwapMode.OFFSET)
    new = bench.app_image(2, version=NEW)
    bench.upload(new)
    assert bench.slots.secondary.image_start == 4096
    assert bench.slots.secondary.area.read(4096, len(new)) == new
    bench.boot()
    found = content_of(bench.slots.secondary)
    assert bench.slots.secondary.image_start == 0
    assert found is not None
    assert found.version == OLD
    bench.boot()
    assert bench.slots.secondary.area.read(4096, len(new)) == new
    assert bench.slots.secondary.area.read(0, 4096) == b"\xff" * 4096  # or a next update would be in the wrong place


def test_an_update_at_the_start_of_the_slot_is_erased() -> None:
    bench = built(SwapMode.OFFSET)
    area = bench.slots.secondary.area
    image = bench.app_image(2, version=NEW)
    area.program(0, image + b"\xff" * (-len(image) % 4))
    bench.slots.secondary.set_pending(permanent=False)
    assert version_of(bench.boot()) == OLD
    assert bench.is_blank("secondary")
    assert "E: Secondary header magic detected in first sector, wrong upload address?" in bench.log


@pytest.mark.parametrize(("mode", "words"), [(mode, str(mode).removeprefix("swap-")) for mode in SWAPS])
def test_the_log_names_the_way_of_swapping(mode: SwapMode, words: str) -> None:
    bench = built(mode)
    bench.upload(bench.app_image(2, version=NEW))
    bench.boot()
    assert f"I: Starting swap using {words} algorithm." in bench.log


def test_scratch_brings_an_image_into_an_empty_slot() -> None:
    bench = Bench(small_layout(SwapMode.SCRATCH))
    bench.upload(bench.app_image(2, version=NEW), permanent=True)
    assert version_of(bench.boot()) == NEW


def test_a_compressed_image_is_refused_by_a_bootloader_that_cannot_unpack() -> None:
    bench = built()
    bench.upload(bench.image(bytes(64) + b"again and " * 900, version=NEW, compression="lzma2"))
    assert version_of(bench.boot()) == OLD
    assert bench.is_blank("secondary")
    assert "E: Image in the secondary slot is not valid!" in bench.log
