"""What a program does with the slots of a device, and how it restarts one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest

from smpdfu import (
    Client,
    PlanError,
    client_for,
    confirm_image,
    erase_slot,
    mark_for_test,
    parse_address,
    restart_unchanged,
)
from smpdfu.dfu.do.slot_marks import hash_digits

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

T = TypeVar("T")
RUNS_1, HAS_2 = (0, "1.0.0", "active confirmed"), (1, "2.0.0", "")


def on(desk: Desk, act: Callable[[Client], Awaitable[T]]) -> T:
    """What ``act`` returns, with an open client for the device."""

    async def run() -> T:
        async with client_for(parse_address(desk.address)) as client:
            return await act(client)

    return asyncio.run(run())


def uploaded(desk: Desk) -> bytes:
    """The hash of 2.0.0, which is in the slot that does not run."""
    return bytes.fromhex(desk.json("upload", desk.image(version="2.0.0"))["hash"])


def test_a_test_is_marked_by_the_beginning_of_a_hash_or_alone(desk: Desk) -> None:
    wanted = uploaded(desk)
    for named in (wanted[:3], wanted.hex()[:7], None):
        state = on(desk, partial(mark_for_test, hash_=named))
        assert [(slot.hash, slot.pending) for slot in state.slots if slot.slot == 1] == [(wanted, True)]


def test_a_confirmation_ends_a_trial(desk: Desk) -> None:
    uploaded(desk)
    on(desk, mark_for_test)
    desk.json("reset")
    assert desk.slots()[0] == (0, "2.0.0", "active")
    state = on(desk, confirm_image)
    assert state.running is not None
    assert (state.running.version, state.running.confirmed) == ("2.0.0", True)


def test_an_untested_image_becomes_permanent_after_a_word(desk: Desk) -> None:
    wanted, said = uploaded(desk), list[str]()
    on(desk, lambda client: confirm_image(client, wanted, untested=said.append))
    assert said == ["nobody has tested this image: after the next reset it runs permanently, with no way back"]
    assert desk.slots()[1] == (1, "2.0.0", "pending permanent")


def test_the_fallback_of_a_trial_is_refused(desk: Desk) -> None:
    uploaded(desk)
    on(desk, mark_for_test)
    desk.json("reset")
    before = desk.slots()
    fallback = bytes.fromhex(desk.json("list")["images"][1]["hash"])
    with pytest.raises(PlanError, match=r"version 1\.0\.0 does not run; it is the fallback") as caught:
        on(desk, lambda client: confirm_image(client, fallback))
    assert (caught.value.code, desk.slots()) == ("fallback-of-trial", before)


@pytest.mark.parametrize("choice", [{}, {"slot": 1}, {"image": 0}], ids=str)
def test_a_slot_is_erased(desk: Desk, choice: dict[str, int]) -> None:
    uploaded(desk)
    assert desk.slots() == [RUNS_1, HAS_2]
    state = on(desk, lambda client: erase_slot(client, image=choice.get("image"), slot=choice.get("slot")))
    assert [slot.version for slot in state.slots] == ["1.0.0"]
    assert desk.slots() == [RUNS_1]


@pytest.mark.parametrize(("image", "slot"), [(None, 2), (0, -1), (-1, None)])
def test_a_slot_that_cannot_be_is_a_mistake_of_the_program(desk: Desk, image: int | None, slot: int | None) -> None:
    uploaded(desk)
    with pytest.raises(ValueError, match="a slot is 0 or 1"):
        on(desk, lambda client: erase_slot(client, image=image, slot=slot))
    assert desk.slots() == [RUNS_1, HAS_2]


def test_a_restart_changes_nothing_or_is_refused(desk: Desk) -> None:
    uploaded(desk)
    state = on(desk, restart_unchanged)
    assert state is not None
    assert [slot.version for slot in state.slots] == ["1.0.0", "2.0.0"]
    on(desk, mark_for_test)
    with pytest.raises(PlanError) as caught:
        on(desk, restart_unchanged)
    assert (caught.value.codes, desk.slots()[1]) == (("restart-changes",), (1, "2.0.0", "pending"))


def test_an_image_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(PlanError) as caught:
        on(desk, mark_for_test)
    assert caught.value.codes == ("no-such-image",)


@pytest.mark.parametrize(
    ("given", "digits"),
    [
        ("0xABCD", "abcd"),
        ("abcde", "abcde"),
        (b"\xab\xcd", "abcd"),
        ("//79/Pv6" * 5 + "//8=", "fffefdfcfbfa" * 5 + "ffff"),
        ("__79_Pv6" * 5 + "__8", "fffefdfcfbfa" * 5 + "ffff"),
    ],
)
def test_a_hash_is_bytes_or_text(given: bytes | str, digits: str) -> None:
    assert hash_digits(given) == digits


@pytest.mark.parametrize("given", ["", "abc", "0x", "xyzw", b"", b"\xab", "Z" * 45])
def test_what_is_no_hash_is_refused_before_the_device_is_asked(desk: Desk, given: bytes | str) -> None:
    with pytest.raises(ValueError, match="is not a hash: give at least 4 hex digits"):
        on(desk, lambda client: mark_for_test(client, given))
