"""The groups of the virtual application beyond what was recorded: clocks, settings, files, the shell, what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smpdfu.errors import DeviceError
from smpdfu.smp import cbor
from smpdfu.smp.groups.enum import EnumRc, GroupDetails, GroupList, GroupSingle, GroupSingleReply
from smpdfu.smp.groups.fs import (
    FileStatus,
    FileStatusReply,
    FileUpload,
)
from smpdfu.smp.groups.image import StateRead
from smpdfu.smp.groups.os import DateTimeRead, DateTimeReply, DateTimeWrite, MemoryPools, OsRc, Reset, TaskStatReply
from smpdfu.smp.groups.raw import RawReply, RawRequest
from smpdfu.smp.groups.settings import (
    SettingsDelete,
    SettingsLoad,
    SettingsRc,
    SettingsRead,
    SettingsReadReply,
    SettingsSave,
    SettingsWrite,
)
from smpdfu.smp.groups.shell import ShellExecute, ShellRc, ShellReply
from smpdfu.smp.groups.stat import StatData, StatDataReply, StatRc
from smpdfu.smp.groups.transport import TransportConnect, TransportDisconnect, TransportModes, TransportRc
from smpdfu.smp.groups.zephyr import EraseStorage, ZephyrRc
from smpdfu.smp.message import Empty, MgmtRc, Op, Request, Response, decode_map
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.application import Kept
from smpdfu.virtual.server.server import Buffers
from smpdfu.virtual.server.version1_codes import in_version_1
from smpdfu.virtual.store import devices as store_devices
from tests.virtual.served_app import App


@pytest.fixture
def app() -> App:
    return App()


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_the_calendar_runs_and_a_reset_forgets_it(app: App) -> None:
    assert app.refusal(DateTimeRead()) == (0, OsRc.RTC_NOT_SET)
    assert app.refusal(DateTimeRead(), version=1) == (None, MgmtRc.ENOENT)
    assert app.ask(DateTimeWrite("2024-02-28T23:59:58")) == Empty()
    app.now_s += 2.5
    assert app.ask(DateTimeRead()) == DateTimeReply("2024-02-29T00:00:00")
    assert app.restarted().refusal(DateTimeRead()) == (0, OsRc.RTC_NOT_SET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05.678901", MgmtRc.EINVAL),  # 26 bytes: one too many for the server
        ("2026-01-02T03:04:05.67890", None),
        ("2026-01-02T03:04:05+01:00", None),  # the zone is not looked at
        ("2026 01 02 03 04 05", None),  # nor is what stands between the numbers
        ("2026-01-02T03:04:5", MgmtRc.EINVAL),
        ("2026-13-02T03:04:05", MgmtRc.EINVAL),
        ("1899-12-31T03:04:05", MgmtRc.EINVAL),
        ("2026-01-02T24:04:05", MgmtRc.EINVAL),
        ("yesterday at half past", MgmtRc.EINVAL),
        ("", MgmtRc.EINVAL),
    ],
)
def test_times_that_can_be_set(app: App, text: str, expected: MgmtRc | None) -> None:
    assert app.refusal(DateTimeWrite(text)) == (None if expected is None else (None, expected))


def test_a_day_that_is_not_in_the_calendar_is_the_clocks_to_refuse(app: App) -> None:
    assert app.refusal(DateTimeWrite("2026-02-30T03:04:05")) == (0, OsRc.RTC_COMMAND_FAILED)
    assert app.refusal(DateTimeWrite("11000-01-01T03:04:05")) == (0, OsRc.RTC_COMMAND_FAILED)
    app.ask(DateTimeWrite("9999-12-31T23:59:59"))
    app.now_s += 1
    assert app.refusal(DateTimeRead()) == (0, OsRc.RTC_COMMAND_FAILED)


def test_what_counts_counts_since_the_start(app: App) -> None:
    app.now_s += 7.9
    assert app.ask(StatData("smp_svr_stats")) == StatDataReply("smp_svr_stats", {"ticks": 7})
    assert app.ask(ShellExecute(("kernel", "uptime"))) == ShellReply("\r\nUptime: 7900 ms\r\n", ret=0)
    assert app.restarted().ask(StatData("smp_svr_stats")) == StatDataReply("smp_svr_stats", {"ticks": 0})
    assert app.refusal(StatData("x" * 31)) == (2, StatRc.INVALID_STAT_NAME)
    assert app.refusal(StatData("x" * 32)) == app.refusal(StatData("")) == (None, MgmtRc.EINVAL)


def test_a_reset_happens_whatever_its_fields_say(app: App) -> None:
    payload: dict[str, object] = {"force": True, "boot_mode": "bootloader"}
    assert app.ask(RawRequest(0, Reset.command, Op.WRITE, payload)) == RawReply({})


# --- settings -------------------------------------------------------------------------------------------------------


def test_a_setting_is_in_ram_until_it_is_saved(app: App) -> None:
    assert app.ask(SettingsWrite("app/interval", b"500")) == Empty()
    assert app.ask(SettingsRead("app/interval")) == SettingsReadReply(b"500")
    assert app.ask(SettingsRead("app/interval", 2)) == SettingsReadReply(b"50")
    assert app.ask(SettingsRead("app/interval", 1000)) == SettingsReadReply(b"500", max_size=256)
    assert app.restarted().refusal(SettingsRead("app/interval")) == (3, SettingsRc.KEY_NOT_FOUND)

    app.ask(SettingsSave())
    app.ask(SettingsWrite("app/interval", b"900"))
    assert app.restarted().ask(SettingsRead("app/interval")) == SettingsReadReply(b"500")
    app.ask(SettingsLoad())
    assert app.ask(SettingsRead("app/interval")) == SettingsReadReply(b"500")


def test_one_branch_can_be_saved(app: App) -> None:
    for name in ("app/a/x", "app/a", "app/ab"):
        app.ask(SettingsWrite(name, name.encode()))
    app.ask(SettingsSave("app/a"))
    after = app.restarted()
    assert after.ask(SettingsRead("app/a/x")) == SettingsReadReply(b"app/a/x")
    assert after.ask(SettingsRead("app/a")) == SettingsReadReply(b"app/a")
    assert after.refusal(SettingsRead("app/ab")) == (3, SettingsRc.KEY_NOT_FOUND)


def test_deleting_takes_a_setting_out_of_the_store_and_leaves_ram_alone(app: App) -> None:
    app.ask(SettingsWrite("app/interval", b"500"))
    app.ask(SettingsSave())
    assert app.ask(SettingsDelete("app/interval")) == app.ask(SettingsDelete("app/never")) == Empty()
    assert app.ask(SettingsRead("app/interval")) == SettingsReadReply(b"500")
    assert app.restarted().refusal(SettingsRead("app/interval")) == (3, SettingsRc.KEY_NOT_FOUND)


def test_erasing_the_storage_forgets_every_setting_with_the_next_start(app: App) -> None:
    app.ask(SettingsWrite("app/interval", b"500"))
    app.ask(SettingsSave())
    assert app.ask(EraseStorage()) == Empty()
    assert app.ask(SettingsRead("app/interval")) == SettingsReadReply(b"500")
    assert app.restarted().refusal(SettingsRead("app/interval")) == (3, SettingsRc.KEY_NOT_FOUND)


def test_names_of_settings(app: App) -> None:
    assert app.refusal(SettingsWrite("net/x", b"1")) == (3, SettingsRc.ROOT_KEY_NOT_FOUND)
    assert app.refusal(SettingsWrite("app", b"1")) == (3, SettingsRc.KEY_NOT_FOUND)
    assert app.refusal(SettingsRead("")) == app.refusal(SettingsDelete("")) == (None, MgmtRc.EINVAL)
    assert app.refusal(SettingsWrite("app/" + "x" * 60, b"1")) == (3, SettingsRc.KEY_TOO_LONG)
    assert app.refusal(SettingsWrite("app/" + "x" * 60, b"1"), version=1) == (None, MgmtRc.EINVAL)
    assert app.ask(SettingsWrite("app/" + "x" * 59, b"1")) == Empty()


def test_a_build_without_storage() -> None:
    app = App(Kept(storage=None))
    assert app.refusal(EraseStorage()) == (63, ZephyrRc.FLASH_OPEN_FAILED)
    assert app.refusal(SettingsSave()) == (3, SettingsRc.SAVE_NOT_SUPPORTED)
    assert app.refusal(SettingsDelete("app/x")) == (3, SettingsRc.KEY_NOT_FOUND)


def test_a_store_that_is_full_says_so_and_keeps_what_it_has(app: App) -> None:
    app.ask(SettingsWrite("app/first", b"1"))
    app.ask(SettingsSave())
    for number in range(100):
        app.ask(SettingsWrite(f"app/{number}", bytes(400)))
    assert app.refusal(SettingsSave()) == (3, SettingsRc.UNKNOWN)
    assert app.restarted().ask(SettingsRead("app/first")) == SettingsReadReply(b"1")


# --- shell, enum, transport -----------------------------------------------------------------------------------------


def test_the_shell(app: App) -> None:
    assert app.ask(ShellExecute(("kernel", "version"))) == ShellReply("\r\nZephyr version 4.4.0\r\n", ret=0)
    assert app.ask(ShellExecute(("kernel  uptime",))) == app.ask(ShellExecute(("kernel", "", "uptime")))
    reply = app.ask(ShellExecute(("kernel",)))
    assert isinstance(reply, ShellReply)
    assert (reply.o, reply.value) == ("\r\nkernel uptime\r\nkernel version\r\n", 1)
    assert app.refusal(ShellExecute(("x" * 256,))) == (9, ShellRc.COMMAND_TOO_LONG)
    assert app.refusal(ShellExecute(("x" * 256,)), version=1) == (None, MgmtRc.EINVAL)
    small = App(buffers=Buffers(384, 4))
    assert small.refusal(ShellExecute(("help",))) == (None, MgmtRc.EMSGSIZE)  # more than a buffer takes
    reply = app.ask(ShellExecute(("help",)))
    assert isinstance(reply, ShellReply)
    assert "kernel uptime" in reply.o


def test_the_groups_are_told_one_by_one(app: App) -> None:
    listed = app.ask(GroupList())
    ends = [app.ask(GroupSingle(index)) for index in range(9)]
    assert [one.group for one in ends if isinstance(one, GroupSingleReply)] == [10, 8, 1, 0, 3, 9, 2, 11, 63]
    assert ends[-1] == GroupSingleReply(63, end=True)
    assert ends[0] == app.ask(GroupSingle()) == GroupSingleReply(10)
    assert app.refusal(GroupSingle(9)) == (10, EnumRc.INDEX_TOO_LARGE)
    assert app.refusal(GroupSingle(9), version=1) == (None, MgmtRc.EUNKNOWN)
    assert app.refusal(GroupSingle(0x10000)) == (None, MgmtRc.EINVAL)
    assert listed == app.ask(GroupList())
    assert app.ask(GroupDetails((77,))).to_map() == {"groups": []}  # type: ignore[union-attr]  # an answer


def test_a_list_of_groups_that_does_not_fit_is_corrupt_and_not_too_long() -> None:
    assert App(buffers=Buffers(96, 4)).refusal(GroupDetails()) == (None, MgmtRc.ECORRUPT)


def test_wires_that_cannot_be_bridged(app: App) -> None:
    assert app.refusal(TransportConnect(1)) == (11, TransportRc.TRANSPORT_MISSING_REQUIRED_FUNCTIONS)
    assert app.refusal(TransportDisconnect()) == (11, TransportRc.NOT_BRIDGED)
    assert app.refusal(TransportDisconnect(1, all=True)) == (11, TransportRc.BOTH_TRANSPORT_AND_ALL_PARAMETERS)
    assert app.refusal(TransportModes(1)) == (11, TransportRc.TRANSPORT_MISSING_INFO_FUNCTIONS)
    assert app.refusal(TransportModes(9)) == (11, TransportRc.INVALID_TRANSPORT)


def test_zephyr_has_no_memory_pools(app: App) -> None:
    assert app.refusal(MemoryPools()) == (None, MgmtRc.ENOTSUP)


# --- requests of any group, and answers that need care --------------------------------------------------------------


def test_a_raw_request_gets_its_answer_as_it_is(app: App) -> None:
    assert app.ask(RawRequest(2, 1)) == RawReply({"stat_list": ["smp_svr_stats"]})
    assert app.refusal(RawRequest(64, 200, Op.WRITE, {"x": [1, {"y": b"z"}]})) == (None, MgmtRc.ENOTSUP)
    for group, command, op in ((0x10000, 0, Op.READ), (0, 256, Op.READ), (-1, 0, Op.READ), (0, 0, Op.READ_RSP)):
        with pytest.raises(ValueError, match="there is no request"):
            RawRequest(group, command, op)
    with pytest.raises(ValueError, match="every key of an SMP body must be text"):
        RawRequest(64, 0, payload={1: 2}).to_bytes(0)  # type: ignore[dict-item]  # on purpose


@pytest.mark.parametrize(
    ("body", "value"),
    [({"o": "x", "ret": -8}, -8), ({"o": "x", "rc": -8}, -8), ({"o": "x", "rc": 3}, 3), ({"o": ""}, 0)],
)
def test_the_value_of_a_shell_command_of_new_and_of_old_servers(body: dict[str, object], value: int) -> None:
    reply = read_outcome(ShellExecute(("x",)), cbor.dumps(body))
    assert isinstance(reply, ShellReply)
    assert reply.value == value


def test_threads_that_share_a_name() -> None:
    """A build that names them by priority writes a key twice."""
    body = bytes.fromhex("bf657461736b73bf623134bf647072696f0e637469640065737461746502ff")
    body += bytes.fromhex("623134bf647072696f0e637469640165737461746503ffffff")
    reply = TaskStatReply.from_map(decode_map(body))
    assert (list(reply.tasks), reply.tasks["14"].state, reply.hidden) == (["14"], 3, 1)


def test_codes_of_version_1_are_of_their_own_group() -> None:
    assert {OsRc.INVALID_FORMAT.value, StatRc.INVALID_GROUP.value, TransportRc(2).value} == {2}
    codes = [in_version_1(rc) for rc in (OsRc.INVALID_FORMAT, StatRc.INVALID_GROUP, TransportRc(2))]
    assert codes == [MgmtRc.EINVAL, MgmtRc.ENOENT, MgmtRc.EUNKNOWN]


# --- a device that is put aside -------------------------------------------------------------------------------------


def test_what_ram_holds_is_taken_up_again(app: App) -> None:
    app.ask(DateTimeWrite("2026-01-02T03:04:05"))
    app.ask(SettingsWrite("app/x", b"\x00\xff"))
    app.ask(FileUpload(name="/lfs1/data", off=0, len=9, data=b"abc"))
    ram = json.loads(json.dumps(app.application.put_aside()))
    later = App(app.kept, now_s=app.now_s + 60)
    later.application.resume(ram)
    assert later.ask(DateTimeRead()) == DateTimeReply("2026-01-02T03:05:05")
    assert later.ask(StatData("smp_svr_stats")) == StatDataReply("smp_svr_stats", {"ticks": 60})
    assert later.ask(SettingsRead("app/x")) == SettingsReadReply(b"\x00\xff")
    assert later.application.fs.upload == app.application.fs.upload


@pytest.mark.parametrize(
    "ram",
    [
        None,
        {},
        {"booted_at": "x", "calendar": None, "settings": {}, "file": None},
        {"booted_at": 1, "calendar": [], "settings": {}, "file": None},
        {"booted_at": 1, "calendar": 1, "settings": {"app/x": "zz"}, "file": None},
        {"booted_at": 1, "calendar": 1, "settings": [], "file": None},
        {"booted_at": 1, "calendar": 1, "settings": {}, "file": {"a": 1}},
    ],
    ids=str,
)
def test_ram_that_is_not_whole_is_as_new(ram: dict[str, Any] | None, app: App) -> None:
    app.application.resume(ram)
    assert app.refusal(DateTimeRead()) == (0, OsRc.RTC_NOT_SET)
    assert app.application.settings.values == {}
    assert app.ask(StatData("smp_svr_stats")) == StatDataReply("smp_svr_stats", {"ticks": 0})


def test_a_stored_device_keeps_what_a_real_one_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path))
    store_devices.create("one", store_devices.Recipe("nrf5340dk-staged"))

    def ask(device: VirtualNrf5340, request: Request[Any]) -> Response | DeviceError:
        (answer,) = device.application.server.answers(request.to_bytes(1))
        return read_outcome(request, answer[8:])

    with store_devices.open_device("one") as device:
        device.application.boot()
        ask(device, SettingsWrite("app/kept", b"1"))
        ask(device, SettingsSave())
        ask(device, SettingsWrite("app/lost", b"2"))
        ask(device, FileUpload(name="/lfs1/a", off=0, len=3, data=b"abc"))
    with store_devices.open_device("one") as device:  # it was put aside with its power on
        assert ask(device, SettingsRead("app/lost")) == SettingsReadReply(b"2")
        device.application.boot()
    with store_devices.open_device("one") as device:
        assert ask(device, SettingsRead("app/kept")) == SettingsReadReply(b"1")
        assert isinstance(ask(device, SettingsRead("app/lost")), DeviceError)
        assert ask(device, FileStatus("/lfs1/a")) == FileStatusReply(3)


def test_settings_are_where_the_layout_has_them() -> None:
    layouts = [layout for layout in LAYOUTS.values() if layout.settings is not None]
    for layout in layouts:
        device = VirtualNrf5340(layout, BootKeys(()))
        server = device.application.server
        server.answers(SettingsWrite("app/x", b"value").to_bytes(1))
        server.answers(SettingsSave().to_bytes(2))
        assert layout.settings is not None
        assert b"app/xvalue" in device.app.read(layout.settings.start, layout.settings.size_bytes)
    assert layouts
    assert server.answers(StateRead().to_bytes(3))
