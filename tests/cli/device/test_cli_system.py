"""``taskstat mpstat bootloader params info reset``: the os group as a person types it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.device.system import state_text
from smpdfu.smp.groups.image import SlotInfoImage, SlotInfoReply, SlotInfoSlot
from smpdfu.smp.groups.os import Reset
from smpdfu.smp.message import Empty, Response
from smpdfu.virtual.server.application import Options
from smpdfu.virtual.server.groups.image import ImageGroup
from smpdfu.virtual.server.groups.os import OsGroup

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


def test_taskstat_counts_stacks_in_bytes(desk: Desk) -> None:
    tasks = desk.json("taskstat")["tasks"]
    assert list(tasks[0]) == ["name", "prio", "tid", "state", "stkuse_bytes", "stksiz_bytes", "cswcnt", "runtime"]
    by_name = {task["name"]: task for task in tasks}
    assert by_name["mcumgr smp"]["stksiz_bytes"] == 2048
    assert by_name["sysworkq"]["prio"] == -1
    assert all(0 < task["stkuse_bytes"] <= task["stksiz_bytes"] for task in tasks)


def test_taskstat_is_a_table_for_people(desk: Desk) -> None:
    out = desk.call("taskstat").out
    line = next(line for line in out.splitlines() if "mcumgr smp" in line)
    assert line.split()[-4:] == ["848", "2048", "41", "%"]
    assert "ready" in line


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (0, "-"),
        (0x80, "ready"),
        (0x02, "pending"),
        (0x84, "sleeping, ready"),
        (0x101, "0x101"),
        (0x90, "suspended, ready"),
    ],
)
def test_states_are_words(state: int, words: str) -> None:
    assert state_text(state) == words


def test_mpstat_of_zephyr_is_refused_by_name(desk: Desk) -> None:
    assert "ENOTSUP" in desk.call("mpstat").refused(5)


class ZephyrPools(Response):
    """As Zephyr answers: the pools in a map of their own, by number, without the size of their blocks."""

    def to_map(self) -> dict[str, object]:
        return {"tasks": {"0": {"nblks": 8, "nfree": 5, "min": 3}, "1": {"nblks": 2, "nfree": 2, "min": 2}}}


def test_mpstat_as_zephyr_really_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.virtual.server.application.DEFAULT_OPTIONS", Options(without=()))
    monkeypatch.setattr(OsGroup, "on_memory_pools", lambda self, request: ZephyrPools())
    assert desk.json("mpstat")["pools"] == [
        {"name": "0", "blksiz": None, "nblks": 8, "nfree": 5, "min": 3},
        {"name": "1", "blksiz": None, "nblks": 2, "nfree": 2, "min": 2},
    ]
    assert desk.call("mpstat").out.splitlines()[3].split() == ["0", "8", "5", "3"]


def test_info_of_a_device_with_slots_that_cannot_be_opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = (SlotInfoSlot(slot=0, size=0x60000), SlotInfoSlot(slot=1, rc=-19), SlotInfoSlot(slot=2, rc=5))
    reply = SlotInfoReply((SlotInfoImage(0, (*slots, SlotInfoSlot(slot=3))),))
    monkeypatch.setattr(ImageGroup, "on_slot_info", lambda self, request: reply)
    told = desk.json("info")["slots"]
    sizes = [(one["size_bytes"], one.get("rc")) for one in told]
    assert sizes == [(0x60000, None), (None, -19), (None, 5), (None, None)]
    out = desk.call("info").out
    assert "None" not in out
    for text in ("393216 bytes", "slot not readable (rc -19)", "slot not readable (rc 5)", "does not report its size"):
        assert text in out
    assert desk.call("upload", desk.image(), "--test").code == 0
    assert desk.call("update", desk.package(), "--plan").code == 0


def test_bootloader(desk: Desk) -> None:
    assert desk.json("bootloader") == {
        "bootloader": "MCUboot",
        "mode": 3,
        "mode_name": "swap using move",
        "no_downgrade": False,
    }
    assert "swap using move" in desk.call("bootloader").out
    assert desk.json("bootloader", "--query", "mode") == {"mode": 3}
    assert "QUERY_YIELDS_NO_ANSWER" in desk.call("bootloader", "--query", "moon").refused(5)


def test_params(desk: Desk) -> None:
    assert desk.json("params") == {"buf_size": 2048, "buf_count": 4}
    assert desk.call("params").out.split()[-1] == "4"


def test_info_by_letters(desk: Desk) -> None:
    assert desk.json("info", "--format", "sv") == {"output": "Zephyr 4.4.0"}
    assert desk.call("info", "--format", "i").out == "nrf5340dk/nrf5340/cpuapp\n"
    assert "INVALID_FORMAT" in desk.call("info", "--format", "Q").refused(5)


def test_reset_by_force_installs_what_is_pending(desk: Desk) -> None:
    desk.json("upload", desk.image(), "--test")
    desk.json("reset", "--force")
    assert desk.slots()[0] == (0, "2.0.0", "active")


def test_reset_into_a_mode_waits_until_the_device_answers(desk: Desk) -> None:
    assert desk.json("reset", "--boot-mode", 0) == {"reset": True, "boot_mode": 0, "acknowledged": True}
    assert "answers" in desk.call("reset", "--boot-mode", 0).out
    assert desk.call("reset", "--boot-mode", 256).refused(2)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], Reset()),
        (["--force"], Reset(force=1)),
        (["--boot-mode", "1"], Reset(boot_mode=1)),
        (["--boot-mode", "0", "--force", "--no-wait"], Reset(1, 0)),
    ],
)
def test_what_a_reset_says(desk: Desk, words: list[str], asked: Reset, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Reset] = []
    on_reset = OsGroup.on_reset

    def listen(self: OsGroup, request: Reset) -> Empty:
        heard.append(request)
        return on_reset(self, Reset())  # whatever the mode, it comes back

    monkeypatch.setattr(OsGroup, "on_reset", listen)
    assert desk.call("reset", *words).code == 0
    assert heard == [asked]


def test_nobody_there(desk: Desk) -> None:
    for command in (["taskstat"], ["params"], ["bootloader"], ["enum"], ["fs", "types"], ["settings", "load"]):
        assert desk.run(*command, "--to", "virtual:nobody").refused(4)
