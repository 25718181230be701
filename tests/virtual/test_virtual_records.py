"""The store of the settings: what was written is read, with little wear, whatever a power cut leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.virtual.chip.flash import Area, Flash, FlashError, PowerCut, Tear
from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.server.settings_store import Records

SIZE = 2 * 4096
NAMES = st.text("abc/é", min_size=1, max_size=6)
VALUES = st.dictionaries(NAMES, st.binary(max_size=40), max_size=5)


def new_store() -> Records:
    return Records(Area(Flash(0, SIZE), Region("settings", 0, SIZE)))


def without_empty(values: dict[str, bytes]) -> dict[str, bytes]:
    return {name: value for name, value in values.items() if value}


@given(st.lists(VALUES, max_size=8))
def test_what_was_written_last_is_read(writes: list[dict[str, bytes]]) -> None:
    records = new_store()
    for values in writes:
        records.write(values)
        assert records.read() == without_empty(values)
        assert Records(records.area).read() == without_empty(values)


def test_what_does_not_change_costs_nothing_and_an_erase_comes_when_the_area_is_full() -> None:
    records = new_store()
    records.write({"a": b"x" * 100, "b": b"y"})
    before = records.area.flash.operations
    records.write({"a": b"x" * 100, "b": b"y"})
    assert records.area.flash.operations == before
    for number in range(50):
        records.write({"a": b"x" * 100, "b": bytes((number,))})
    assert records.read() == {"a": b"x" * 100, "b": bytes((49,))}
    assert sum(records.area.flash.erase_counts.values()) == 0
    for number in range(40):
        records.write({"a": b"x" * 100, "b": bytes((number,)) * 900})
    assert 0 < sum(records.area.flash.erase_counts.values()) <= 12
    assert records.read() == {"a": b"x" * 100, "b": bytes((39,)) * 900}


def test_what_does_not_fit_is_refused_and_the_rest_stays() -> None:
    records = new_store()
    records.write({"a": b"1"})
    for values in (
        {"a": bytes(SIZE)},
        {"a": bytes(70000)},
        {str(number): bytes(range(1, 200)) for number in range(60)},
    ):
        with pytest.raises(FlashError):
            records.write(values)
        assert records.read() == {"a": b"1"}


@given(VALUES, VALUES, st.integers(0, 3), st.sampled_from(Tear))
def test_a_power_cut_while_writing_leaves_the_old_or_the_new_values(
    old: dict[str, bytes], new: dict[str, bytes], after: int, tear: Tear
) -> None:
    records = new_store()
    records.write(old)
    power = records.area.flash.power
    power.cut_after, power.tear = after, tear
    try:
        records.write(new)
    except PowerCut:
        found = records.read()
        both = {**without_empty(old), **without_empty(new)}
        assert all(both[name] == value or old.get(name) == value for name, value in found.items())
    power.cut_after = None
    records.write(new)
    assert records.read() == without_empty(new)


@given(st.binary(max_size=200))
def test_rubbish_is_no_record(data: bytes) -> None:
    records = new_store()
    records.area.program(0, data + b"\xff" * (-len(data) % 4))
    assert all(isinstance(name, str) for name in records.read())
    records.write({"a": b"1"})
    assert records.read() == {"a": b"1"}
