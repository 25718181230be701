"""mcumgr-toolkit (Rust) drives the virtual device through every command that it has."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.virtual.boot.swap.swap_type import SwapType

if TYPE_CHECKING:
    from tests.peers.conftest import Board

NET_SLOT = 0x0100_8800


def toolkit(board: Board) -> Any:
    from mcumgr_toolkit import MCUmgrClient

    client = MCUmgrClient.serial(board.port, timeout_ms=5000)
    client.use_auto_frame_size()
    return client


def test_mcumgr_toolkit_asks_what_the_device_is(board: Board) -> None:
    client = toolkit(board)
    client.check_connection()
    assert client.os_echo("hello") == "hello"
    params = client.os_mcumgr_parameters()
    assert (params.buf_size, params.buf_count) == (2048, 4)
    assert client.os_application_info("s") == "Zephyr"
    assert "'mode': 3" in repr(client.os_bootloader_info())
    (image,) = client.image_slot_info()
    assert [slot.size for slot in image.slots] == [pair.area.size_bytes for pair in slots(board)]
    (running,) = client.image_get_state()
    assert (running.version, running.hash, running.active) == ("1.0.0", board.runs(), True)


def slots(board: Board) -> tuple[Any, Any]:
    pair = board.look().images[0]
    return pair.primary, pair.secondary


def test_mcumgr_toolkit_uploads_tests_and_confirms(board: Board) -> None:
    client, data = toolkit(board), board.files["app2"].read_bytes()
    reached: list[int] = []
    client.image_upload(data, progress=lambda done, total: reached.append(done))
    assert reached[-1] == len(data)
    assert board.holds("secondary", "app2")
    client.image_set_state(board.hash("app2"))
    assert board.pending() is SwapType.TEST
    client.os_system_reset()
    board.wait_for_boots(2)
    client.image_set_state(confirm=True)
    client.os_system_reset()
    board.wait_for_boots(3)
    assert [slot.version for slot in client.image_get_state()] == ["2.0.0", "1.0.0"]
    assert board.runs() == board.hash("app2")
    assert board.holds("primary", "app2")


def test_mcumgr_toolkit_updates_the_network_core(board: Board) -> None:
    toolkit(board).firmware_update(board.files["net2"].read_bytes())
    board.wait_for_boots(2)
    device, payload = board.look(), board.image("net2").payload
    assert device.net.read(NET_SLOT, len(payload)) == payload
    assert device.net_core.running
    assert board.runs() == board.hash("app1")


def test_mcumgr_toolkit_is_refused_as_by_a_real_device(board: Board) -> None:
    client = toolkit(board)
    with pytest.raises(Exception, match=r"(?i)magic"):
        client.image_upload(bytes(1000))
    with pytest.raises(Exception, match=r"(?i)hash"):
        client.image_set_state(b"\x01" * 32)
    client.image_erase(1)
    with pytest.raises(Exception, match=r"(?i)slot"):
        client.image_erase(0)
    assert board.holds("primary", "app1")


# --- all others -----------------------------------------------------------------------------------------------------

FILE = bytes(at * at % 251 for at in range(20_000))
NOON = dt.datetime(2026, 1, 31, 12, 0)


def upload_twice(client: Any) -> bool:
    """The second time the file is shorter."""
    client.fs_file_upload("/lfs1/file", FILE * 2)
    client.fs_file_upload("/lfs1/file", FILE)
    return bool(client.fs_file_status("/lfs1/file").length == len(FILE))


def set_clock(client: Any) -> bool:
    client.os_set_datetime(NOON)
    return bool(dt.timedelta(0) <= client.os_get_datetime() - NOON < dt.timedelta(minutes=1))


def write_setting(client: Any) -> bool:
    client.settings_write("app/x", b"\x00\xff")
    client.settings_save()
    client.settings_write("app/x", b"not kept")
    client.settings_load()
    return bool(client.settings_read("app/x") == b"\x00\xff")


def delete_setting(client: Any) -> bool:
    client.settings_write("app/y", b"1")
    client.settings_save("app/y")
    client.settings_delete("app/y")
    client.settings_commit()
    return bool(client.settings_read_ext("app/y", 4).value == b"1")  # in RAM until the next start


def checksums(client: Any) -> bool:
    sha = client.fs_file_checksum("/lfs1/file", "sha256", 10, 20)
    return bool(sha.output == hashlib.sha256(FILE[10:30]).digest() and (sha.offset, sha.length) == (10, 20))


# Command -> what it gives on this device, in an order that suits the file and the settings.
COMMANDS: dict[str, Callable[[Any], bool]] = {
    "os_task_statistics": lambda client: client.os_task_statistics()["mcumgr smp"].stksiz == 2048,
    "os_set_datetime": set_clock,
    "os_get_datetime": lambda client: client.os_get_datetime().year == 2026,
    "stats_list_groups": lambda client: "smp_svr_stats" in client.stats_list_groups(),
    "stats_get_group_data": lambda client: list(client.stats_get_group_data("smp_svr_stats")) == ["ticks"],
    "settings_write": write_setting,
    "settings_save": lambda client: client.settings_save() is None,
    "settings_load": lambda client: client.settings_load() is None,
    "settings_read": lambda client: client.settings_read("app/x") == b"\x00\xff",
    "settings_read_ext": lambda client: client.settings_read_ext("app/x", 1000).max_size == 256,
    "settings_delete": delete_setting,
    "settings_commit": lambda client: client.settings_commit() is None,
    "fs_file_upload": upload_twice,
    "fs_file_download": lambda client: client.fs_file_download("/lfs1/file") == FILE,
    "fs_file_status": lambda client: client.fs_file_status("/lfs1/file").length == len(FILE),
    "fs_file_checksum": checksums,
    "fs_supported_checksum_types": lambda client: set(client.fs_supported_checksum_types()) == {"crc32", "sha256"},
    "fs_file_close": lambda client: client.fs_file_close() is None,
    "shell_execute": lambda client: "Zephyr version" in client.shell_execute(["kernel", "version"]),
    "enum_get_group_count": lambda client: client.enum_get_group_count() == len(client.enum_get_group_ids()),
    "enum_get_group_ids": lambda client: {0, 1, 2, 3, 8, 9, 10, 63} <= set(client.enum_get_group_ids()),
    "enum_get_group_id": lambda client: client.enum_get_group_id(0) == client.enum_get_group_ids()[0],
    "enum_iter_group_ids": lambda client: list(client.enum_iter_group_ids()) == client.enum_get_group_ids(),
    "enum_get_group_details": lambda client: client.enum_get_group_details([8])[0].name == "fs mgmt",
    "zephyr_erase_storage": lambda client: client.zephyr_erase_storage() is None,
    "raw_command": lambda client: client.raw_command(True, 0, 0, {"d": "hi"}) == {"r": "hi"},
}
TESTED_ABOVE = {
    *("check_connection", "firmware_update", "os_echo", "os_system_reset", "os_mcumgr_parameters"),
    *("os_application_info", "os_bootloader_info", "image_get_state", "image_set_state", "image_upload"),
    *("image_erase", "image_slot_info"),
}
NOT_IN_ZEPHYR = {"os_memory_pool_statistics"}
# How a client is made and tuned; it says nothing to the device.
OF_THE_CLIENT = {
    *("serial", "raw_serial", "usb_serial", "raw_usb_serial", "udp", "ble"),
    *("set_frame_size", "use_auto_frame_size", "set_timeout_ms", "set_retries"),
}


def test_mcumgr_toolkit_has_no_command_that_is_not_tried() -> None:
    from mcumgr_toolkit import MCUmgrClient

    has = {name for name in dir(MCUmgrClient) if not name.startswith("_")}
    assert has == {*COMMANDS, *TESTED_ABOVE, *NOT_IN_ZEPHYR, *OF_THE_CLIENT}


def test_every_other_command_of_mcumgr_toolkit_works(board: Board) -> None:
    client = toolkit(board)
    assert [name for name, works in COMMANDS.items() if not works(client)] == []
    with pytest.raises(Exception, match="ENOTSUP"):
        client.os_memory_pool_statistics()
    with pytest.raises(Exception, match="FILE_NOT_FOUND"):
        client.fs_file_download("/lfs1/none")
    with pytest.raises(Exception, match=r"(?i)-8|return"):
        client.shell_execute(["moon"])
