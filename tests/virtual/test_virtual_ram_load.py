"""RAM load, and the modes with one slot: what is started, and what is left in flash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.image.keys.keys import generate
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import PowerCut, Tear
from smpdfu.virtual.chip.layout import EXECUTABLE_RAM

if TYPE_CHECKING:
    from tests.virtual.modes_bench import State, bench_in, ended, left, put
    from tests.virtual.virtual_bench import DECRYPTION, Bench
else:
    from modes_bench import State, bench_in, ended, left, put
    from virtual_bench import DECRYPTION, Bench

AT = 0x2001_0000
OTHER = generate("ecdsa-p256")

# What a boot makes of both slots. Source: nrfconnect/sdk-mcuboot e994ef4e, loader.c and ram_load.c (r).
ROWS = [
    # primary, secondary, which slot runs or how it ends, what is left of both
    (State(1, at=AT), None, 0, "1", "-"),  # 2880
    (State(1, at=AT), State(2, at=AT), 1, "1", "2"),  # 2886
    (State(1, at=AT), State(2, at=AT + 0x1_0000), 1, "1", "2"),  # r 298: each names its place
    (State(2, at=AT), State(2, at=AT, build=1), 0, "2", "2"),  # 2886
    (State(1, at=AT), State(2), 0, "1", "-"),  # r 345, 3091: without RAM_LOAD it is removed
    (State(2), State(1, at=AT), 1, "-", "1"),  # r 345, 3091
    (State(1, at=AT), State(2, rom_fixed=1), 0, "1", "-"),  # r 345
    (State(1, at=AT), State(2, at=EXECUTABLE_RAM.start - 4), 0, "1", "-"),  # r 86
    (State(1, at=AT), State(2, at=EXECUTABLE_RAM.end - 0x1000), 0, "1", "-"),  # r 94
    (State(1, at=AT), State(2, at=EXECUTABLE_RAM.start), 1, "1", "2"),  # r 86
    (State(1, at=AT), State(2, at=AT, signed=False), 0, "1", "-"),  # 820
    (State(2, at=AT, signed=False), State(1, at=AT), 1, "-", "1"),  # 820
    (State(1, at=AT, signed=False), None, "no image", "-", "-"),  # 820, 3050
    (State(1, at=AT), State(2, at=AT, linked_at=AT + 0x1_0000), "crash", "1", "2"),  # nobody looks at the code
    (State(1, at=AT), State(2, at=AT, bootable=False), 0, "1", "2"),  # 691
    (State(1, at=AT), State(2, at=AT, encrypt=DECRYPTION), 0, "1", "2"),  # bootutil_loader.c 146
    (State(1, at=AT), State(2, "magic", at=AT), 1, "1", "2 magic"),  # no trailer is read
    (None, None, "no image", "-", "-"),
]


@pytest.mark.parametrize(("primary", "secondary", "runs", "first", "second"), ROWS)
def test_a_boot_loads_the_higher_version(
    primary: State | None, secondary: State | None, runs: int | str, first: str, second: str
) -> None:
    bench = bench_in(BootMode.RAM_LOAD)
    put(bench, 0, primary)
    put(bench, 1, secondary)
    assert ended(bench.boot()) == runs
    assert [left(slot) for slot in bench.slots.places] == [first, second]


@pytest.mark.parametrize(
    ("primary", "secondary", "runs", "first", "second"),
    [
        (State(1, at=AT, encrypt=DECRYPTION), None, 0, "1", "-"),  # r 117: in either slot
        (State(1, at=AT, encrypt=DECRYPTION), State(2, at=AT, encrypt=DECRYPTION), 1, "1", "2"),
        (State(1, at=AT), State(2, at=AT, encrypt=DECRYPTION), 1, "1", "2"),
        (State(1, at=AT), State(2, at=AT, encrypt=OTHER), 0, "1", "-"),  # r 148, 3091
    ],
)
def test_an_image_is_decrypted_on_its_way_into_ram(
    primary: State | None, secondary: State | None, runs: int | str, first: str, second: str
) -> None:
    bench = bench_in(BootMode.RAM_LOAD, DECRYPTION)
    put(bench, 0, primary)
    put(bench, 1, secondary)
    assert ended(bench.boot()) == runs
    assert [left(slot) for slot in bench.slots.places] == [first, second]


def test_the_console_says_where_it_runs() -> None:
    bench = bench_in(BootMode.RAM_LOAD)
    put(bench, 1, State(2, at=AT))
    bench.boot()
    assert bench.log[-6:] == [
        "I: Image 0 primary slot: image not found",
        "I: Image 0 RAM loading to 0x20010000 is succeeded.",
        "I: Image 0 loaded from the secondary slot",
        "I: Bootloader chainload address offset: 0x20010000",
        "I: Image version: v2.0.0",
        "I: Jumping to the first image slot",
    ]


@pytest.mark.parametrize("tear", Tear)
@pytest.mark.parametrize(
    ("primary", "secondary"),
    [(State(1, at=AT), State(2)), (State(2), State(1, at=AT)), (State(1, at=AT), State(2, at=AT, signed=False))],
)
def test_a_cut_at_any_operation_leaves_an_image_that_starts(primary: State, secondary: State, tear: Tear) -> None:
    def fresh() -> Bench:
        bench = bench_in(BootMode.RAM_LOAD)
        put(bench, 0, primary)
        put(bench, 1, secondary)
        return bench

    whole = fresh()
    before = whole.app.power.operations
    whole.boot()
    operations = whole.app.power.operations - before
    assert operations > 0
    for operation in range(operations):
        bench = fresh()
        bench.app.power.cut_after, bench.app.power.tear = operation, tear
        with pytest.raises(PowerCut):
            bench.boot()
        assert ended(bench.boot()) in (0, 1), (operation, bench.log[-3:])


# --- one slot ---------------------------------------------------------------------------------------------------------

# Source: boot/zephyr/single_loader.c, boot_image_load_header in bootutil_public.c (p). Nothing is ever erased.
SINGLE_ROWS = [
    (BootMode.SINGLE_SLOT, State(1), 0, "1"),
    (BootMode.SINGLE_SLOT, State(1, "magic copy_done"), 0, "1 magic copy_done"),  # no trailer is read
    (BootMode.SINGLE_SLOT, None, "no image", "-"),  # p 900
    (BootMode.SINGLE_SLOT, State(1, bootable=False), "no image", "1"),  # p 906
    (BootMode.SINGLE_SLOT, State(1, signed=False), "no image", "1"),
    (BootMode.SINGLE_SLOT, State(1, encrypt=DECRYPTION), "no image", "1"),  # 57: taken for plain, the hash is wrong
    (BootMode.SINGLE_SLOT, State(1, linked=1), 0, "1"),  # in the one slot that there is, that is no other place
    (BootMode.SINGLE_SLOT, State(1, rom_fixed=1), 0, "1"),  # the address in the header is not read
    (BootMode.SINGLE_SLOT_RAM_LOAD, State(1, at=AT), 0, "1"),
    (BootMode.SINGLE_SLOT_RAM_LOAD, State(1), "no image", "1"),  # 226: not loaded, and not erased
    (BootMode.SINGLE_SLOT_RAM_LOAD, State(1, at=AT, signed=False), "no image", "1"),
]


@pytest.mark.parametrize(("mode", "state", "runs", "kept"), SINGLE_ROWS)
def test_a_single_slot_is_started_or_left_alone(
    mode: BootMode, state: State | None, runs: int | str, kept: str
) -> None:
    bench = bench_in(mode)
    put(bench, 0, state)
    before = bench.app.power.operations
    assert ended(bench.boot()) == runs
    assert left(bench.slots.primary) == kept
    assert bench.app.power.operations == before


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (None, "E: Bad image magic 0xffffffff"),  # p 900
        (State(1, bootable=False), "E: Image not bootable"),  # p 906
    ],
)
def test_the_console_says_what_is_wrong_with_the_only_image(state: State | None, line: str) -> None:
    bench = bench_in(BootMode.SINGLE_SLOT)
    put(bench, 0, state)
    bench.boot()
    assert bench.log[-2:] == [line, "E: Unable to find bootable image"]


def test_an_only_image_that_is_larger_than_its_slot_is_not_read_to_its_end() -> None:
    bench = bench_in(BootMode.SINGLE_SLOT)
    put(bench, 0, State(1))
    area = bench.slots.primary.area
    size = area.size_bytes
    header = bytearray(area.read(0, 0x200))
    header[12:16] = size.to_bytes(4, "little")  # ih_img_size
    area.erase(0, 4096)
    area.program(0, bytes(header))
    assert ended(bench.boot()) == "no image"
    assert f"E: Image size bigger than designated area: {size + 0x200} > {size}" in bench.log  # p 914
