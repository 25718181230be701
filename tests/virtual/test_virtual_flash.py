"""The rules of NOR flash, and the power that goes away in the middle of it."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.virtual.chip.flash import Area, Flash, FlashError, PowerCut, Tear, Times
from smpdfu.virtual.chip.layout import Region

BASE, PAGE, PAGES = 0x1000, 64, 4
SIZE = PAGE * PAGES


def small_flash(storage: bytearray | None = None) -> Flash:
    return Flash(BASE, SIZE, page_size=PAGE, storage=storage)


Operation = tuple[str, int, bytes]
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("erase"), st.integers(0, PAGES - 1).map(lambda page: BASE + page * PAGE), st.just(b"")),
        st.tuples(
            st.just("program"),
            st.integers(0, SIZE // 4 - 4).map(lambda word: BASE + 4 * word),
            st.binary(min_size=1, max_size=4).map(lambda data: data * 4),
        ),
    ),
    max_size=30,
)


@given(OPERATIONS)
def test_an_erase_sets_a_page_and_a_program_only_clears_bits(operations: list[Operation]) -> None:
    flash, model = small_flash(), bytearray(b"\xff" * SIZE)
    for kind, address, data in operations:
        start = address - BASE
        if kind == "erase":
            flash.erase(address, PAGE)
            model[start : start + PAGE] = b"\xff" * PAGE
        elif any(new & ~old for new, old in zip(data, model[start:], strict=False)):
            with pytest.raises(FlashError, match="only an erase can set bits"):
                flash.program(address, data)
        else:
            flash.program(address, data)
            model[start : start + len(data)] = data
        assert flash.read(BASE, SIZE) == model


@given(OPERATIONS, st.integers(0, 30), st.sampled_from(Tear))
def test_a_power_cut_tears_one_operation_and_keeps_the_others(
    operations: list[Operation], after: int, tear: Tear
) -> None:
    flash, reference = small_flash(), small_flash()
    flash.power.cut_after, flash.power.tear = after, tear
    for operation in operations:
        before = reference.read(BASE, SIZE)
        try:
            run(reference, operation)
        except FlashError:
            continue
        if reference.operations > after:
            with pytest.raises(PowerCut) as cut:
                run(flash, operation)
            assert cut.value.operation == after
            assert flash.power.cut_after is None
            first, last = torn_part(operation, tear)
            assert flash.read(BASE, SIZE) == before[:first] + reference.read(BASE, SIZE)[first:last] + before[last:]
            return
        run(flash, operation)
    assert flash.read(BASE, SIZE) == reference.read(BASE, SIZE)


def run(flash: Flash, operation: Operation) -> None:
    kind, address, data = operation
    if kind == "erase":
        flash.erase(address, PAGE)
    else:
        flash.program(address, data)


def torn_part(operation: Operation, tear: Tear) -> tuple[int, int]:
    """What half an operation has done: whole words from the front; of an erase perhaps the upper half instead."""
    kind, address, data = operation
    if tear is Tear.CLEAN:
        return 0, 0
    start, half = address - BASE, (PAGE if kind == "erase" else len(data)) // 2 // 4 * 4
    return (start + half, start + PAGE) if kind == "erase" and tear is Tear.UPPER else (start, start + half)


def test_a_cut_comes_when_it_was_armed_for_and_once() -> None:
    flash = small_flash()
    flash.power.cut_after = 1
    flash.program(BASE, bytes(4))
    with pytest.raises(PowerCut, match="operation 1"):
        flash.erase(BASE, PAGE)
    flash.erase(BASE, PAGE)
    assert flash.read(BASE, PAGE) == b"\xff" * PAGE


def test_each_page_of_an_erase_is_an_operation_and_wears_out_by_itself() -> None:
    flash = small_flash()
    flash.erase(BASE, SIZE)
    flash.erase(BASE + PAGE, PAGE)
    assert flash.operations == PAGES + 1
    assert [flash.erase_counts[BASE + page * PAGE] for page in range(PAGES)] == [1, 2, 1, 1]


def test_a_refused_operation_is_not_counted() -> None:
    flash = small_flash()
    with pytest.raises(FlashError):
        flash.erase(BASE, PAGE // 2)
    assert flash.operations == 0
    assert not flash.erase_counts


MISUSE: list[tuple[Callable[[Flash], object], str]] = [
    (lambda flash: flash.program(BASE + 2, bytes(4)), "whole words"),
    (lambda flash: flash.program(BASE, bytes(3)), "whole words"),
    (lambda flash: flash.program(BASE + SIZE - 4, bytes(8)), "outside the flash"),
    (lambda flash: flash.program(BASE - 4, bytes(4)), "outside the flash"),
    (lambda flash: flash.erase(BASE + 4, PAGE), "whole pages"),
    (lambda flash: flash.erase(BASE, PAGE + 4), "whole pages"),
    (lambda flash: flash.erase(BASE + SIZE, PAGE), "outside the flash"),
    (lambda flash: flash.read(BASE + SIZE - 1, 2), "outside the flash"),
    (lambda flash: flash.read(0, 1), "outside the flash"),
]


@pytest.mark.parametrize(("misuse", "reason"), MISUSE)
def test_what_flash_cannot_do_is_refused_and_changes_nothing(misuse: Callable[[Flash], object], reason: str) -> None:
    flash = small_flash()
    flash.program(BASE, bytes(SIZE))
    with pytest.raises(FlashError, match=reason) as error:
        misuse(flash)
    assert f"0x{error.value.address:08x}" in str(error.value)
    assert flash.read(BASE, SIZE) == bytes(SIZE)


def test_a_negative_size_is_the_caller_s_mistake() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        small_flash().read(BASE, -1)


@pytest.mark.parametrize(
    ("base", "size", "page"),
    [(0, 100, 64), (32, 128, 64), (0, 0, 64), (0, 128, 12)],
    ids=("size", "base", "empty", "page"),
)
def test_flash_is_made_of_whole_pages(base: int, size: int, page: int) -> None:
    with pytest.raises(ValueError, match="whole pages"):
        Flash(base, size, page_size=page)


def test_the_storage_has_the_size_of_the_flash() -> None:
    with pytest.raises(ValueError, match="the storage has 3 bytes"):
        small_flash(bytearray(3))


def test_the_contents_outlive_the_flash_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"\xff" * SIZE)
    for expected in (b"\xff" * 4, b"kept"):
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as storage:
            flash = Flash(BASE, SIZE, page_size=PAGE, storage=storage)
            assert flash.read(BASE + PAGE, 4) == expected
            flash.program(BASE + PAGE, b"kept")
    assert path.read_bytes() == b"\xff" * PAGE + b"kept" + b"\xff" * (SIZE - PAGE - 4)


def test_an_area_counts_from_its_start_and_ends_at_its_end() -> None:
    flash = small_flash()
    area = Area(flash, Region("middle", BASE + PAGE, 2 * PAGE))
    area.program(PAGE, b"area")
    assert flash.read(BASE + 2 * PAGE, 4) == area.read(PAGE, 4) == b"area"
    assert area.read_all() == flash.read(BASE + PAGE, 2 * PAGE)
    flash.program(BASE, b"left")
    area.erase_all()
    assert flash.read(BASE, 4) == b"left"
    assert area.read_all() == b"\xff" * area.size_bytes
    for outside in (
        lambda: area.read(-1, 1),
        lambda: area.program(2 * PAGE, b"over"),
        lambda: area.erase(PAGE, 2 * PAGE),
    ):
        with pytest.raises(FlashError, match="leave middle"):
            outside()


@given(
    st.lists(st.tuples(st.integers(0, SIZE // 4 - 1), st.sampled_from((b"\0", b"\x5a", b"\xff"))), max_size=3),
    st.integers(-8, SIZE + 8),
    st.integers(0, SIZE + 8).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.sampled_from((4, 8, 12, 64)),
    st.none() | st.integers(0, 20),
    st.sampled_from(Tear),
)
def test_pieces_at_once_are_as_pieces_one_after_the_other(
    before: list[tuple[int, bytes]], start: int, data: bytes, piece: int, after: int | None, tear: Tear
) -> None:
    """Contents, errors, counts, times and the power: nothing tells the two apart."""
    seen = []
    for at_once in (True, False):
        flash = small_flash()
        flash.times = Times(program_s=0.1)
        for word, filling in before:
            flash.program(BASE + 4 * word, filling * 4) if flash.read(BASE + 4 * word, 4) == b"\xff" * 4 else None
        flash.power.cut_after, flash.power.tear = after, tear
        error: Exception | None = None
        try:
            if at_once:
                flash.program_pieces(BASE + start, data, piece)
            else:
                for done in range(0, len(data), piece):
                    flash.program(BASE + start + done, data[done : done + piece])
        except (FlashError, PowerCut) as raised:
            error = raised
        counts = flash.operations, flash.power.operations, flash.power.cut_after
        seen.append((flash.read(BASE, SIZE), repr(error), str(error), counts, flash.busy_s))
    assert seen[0] == seen[1]


def test_erased_flash_takes_all_pieces_at_once() -> None:
    """Else the test above compares one way with itself."""
    flash = small_flash()
    flash.program = lambda address, data: pytest.fail("one piece was programmed by itself")  # type: ignore[method-assign]
    flash.power.cut_after = 16
    flash.program_pieces(BASE, bytes(PAGE), 4)
    assert (flash.operations, flash.power.operations, flash.power.cut_after) == (16, 16, 0)
    assert flash.read(BASE, 2 * PAGE) == bytes(PAGE) + b"\xff" * PAGE
