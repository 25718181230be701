"""smpclient drives the virtual device through every request that it has."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from smpdfu.smp.message import MgmtRc

if TYPE_CHECKING:
    from tests.peers.conftest import Board


def test_smpclient_uploads_over_whatever_it_negotiates(board: Board) -> None:
    from smpclient import SMPClient
    from smpclient.generics import success
    from smpclient.requests.image_management import ImageStatesRead
    from smpclient.transport.serial import SMPSerialTransport

    data = board.files["app2"].read_bytes()

    async def update() -> None:
        async with SMPClient(SMPSerialTransport(), board.port) as client:
            states = await client.request(ImageStatesRead())
            assert success(states)
            assert [one.hash for one in states.images] == [board.runs()]
            async for off in client.upload(data):
                last = off
            assert last == len(data)

    asyncio.run(update())
    assert board.holds("secondary", "app2")


# --- every request --------------------------------------------------------------------------------------------------

FILE = bytes(at * at % 251 for at in range(20_000))

# Request -> its arguments, and what a good answer fulfils; in an order that suits the file and the settings.
REQUESTS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "os_management.EchoWrite": ({"d": "hi"}, lambda reply: reply.r == "hi"),
    "os_management.TaskStatisticsRead": ({}, lambda reply: reply.tasks["mcumgr smp"].stksiz == 512),
    "os_management.DateTimeWrite": ({"datetime": "2026-01-31T12:00:00"}, lambda reply: True),
    "os_management.DateTimeRead": ({}, lambda reply: str(reply.datetime).startswith("2026-01-31")),
    "os_management.MCUMgrParametersRead": ({}, lambda reply: (reply.buf_size, reply.buf_count) == (2048, 4)),
    "os_management.OSApplicationInfoRead": ({"format": "s"}, lambda reply: reply.output == "Zephyr"),
    "os_management.BootloaderInformationRead": ({}, lambda reply: reply.bootloader == "MCUboot"),
    "image_management.ImageStatesRead": ({}, lambda reply: reply.images[0].version == "1.0.0"),
    "image_management.ImageStatesWrite": ({"confirm": True}, lambda reply: reply.images[0].confirmed),
    "image_management.ImageErase": ({"slot": 1}, lambda reply: True),
    "statistics_management.ListOfGroups": ({}, lambda reply: "smp_svr_stats" in reply.stat_list),
    "statistics_management.GroupData": ({"name": "smp_svr_stats"}, lambda reply: list(reply.fields) == ["ticks"]),
    "settings_management.WriteSetting": ({"name": "app/x", "val": b"1"}, lambda reply: True),
    "settings_management.CommitSettings": ({}, lambda reply: True),
    "settings_management.SaveSettings": ({}, lambda reply: True),
    "settings_management.LoadSettings": ({}, lambda reply: True),
    "settings_management.ReadSetting": ({"name": "app/x"}, lambda reply: reply.val == b"1"),
    "settings_management.DeleteSetting": ({"name": "app/x"}, lambda reply: True),
    "file_management.FileUpload": (
        {"name": "/lfs1/a", "off": 0, "len": 3, "data": b"abc"},
        lambda reply: reply.off == 3,
    ),
    "file_management.FileDownload": (
        {"name": "/lfs1/a", "off": 0},
        lambda reply: (reply.data, reply.len) == (b"abc", 3),
    ),
    "file_management.FileStatus": ({"name": "/lfs1/a"}, lambda reply: reply.len == 3),
    "file_management.FileHashChecksum": (
        {"name": "/lfs1/a", "type": "sha256"},
        lambda reply: reply.output == hashlib.sha256(b"abc").digest(),
    ),
    "file_management.SupportedFileHashChecksumTypes": ({}, lambda reply: set(reply.types) == {"crc32", "sha256"}),
    "file_management.FileClose": ({}, lambda reply: True),
    "shell_management.Execute": (
        {"argv": ["kernel", "version"]},
        lambda reply: (reply.o, reply.ret) == ("\r\nZephyr version 4.4.0\r\n", 0),
    ),
    "enumeration_management.CountSupportedGroups": ({}, lambda reply: reply.count >= 8),
    "enumeration_management.ListSupportedGroups": ({}, lambda reply: next(iter(reply.groups)) == 10),
    "enumeration_management.GroupId": ({"index": 0}, lambda reply: reply.group == 10),
    "enumeration_management.GroupDetails": ({"groups": [8]}, lambda reply: reply.groups[0].name == "fs mgmt"),
    "zephyr_management.EraseStorage": ({}, lambda reply: True),
    "os_management.ResetWrite": ({}, lambda reply: True),
}
BY_UPLOAD = {"image_management.ImageUploadWrite"}  # see above
NOT_IN_ZEPHYR = {"os_management.MemoryPoolStatisticsRead"}
OF_ANOTHER_VENDOR = {"user.intercreate.ImageUploadWrite"}


def requests() -> dict[str, Any]:
    """Every request class of smpclient."""
    import smpclient.requests as room

    found = {}
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(kind) and hasattr(kind, "_Response") and kind.__module__ == module.name:
                found[f"{module.name.removeprefix(room.__name__ + '.')}.{name}"] = kind
    return found


def drive(board: Board, act: Callable[[Any], Awaitable[None]]) -> None:
    from smpclient import SMPClient
    from smpclient.transport.serial import SMPSerialTransport

    async def main() -> None:
        async with SMPClient(SMPSerialTransport(), board.port) as client:
            await act(client)

    asyncio.run(main())


def test_smpclient_has_no_request_that_is_not_tried() -> None:
    assert set(requests()) == {*REQUESTS, *BY_UPLOAD, *NOT_IN_ZEPHYR, *OF_ANOTHER_VENDOR}


def test_every_request_of_smpclient_is_answered(board: Board) -> None:
    from smpclient.generics import success

    kinds = requests()

    async def ask_all(client: Any) -> None:
        for name in NOT_IN_ZEPHYR:
            assert (await client.request(kinds[name]())).rc == MgmtRc.ENOTSUP  # which it takes for a success
        for name, (arguments, is_good) in REQUESTS.items():
            reply = await client.request(kinds[name](**arguments))
            assert success(reply), f"{name}: {reply}"
            assert is_good(reply), f"{name}: {reply}"

    drive(board, ask_all)


def test_smpclient_moves_files(board: Board) -> None:
    async def there_and_back(client: Any) -> None:
        last = 0
        async for off in client.upload_file(FILE, "/lfs1/file"):
            last = off
        assert last == len(FILE)
        assert await client.download_file("/lfs1/file") == FILE

    drive(board, there_and_back)
