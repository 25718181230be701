"""Makes ``groups.json``: one request, one answer and one refusal of every command, as others write them.

    python tests/vectors/make_groups.py

The writer is the ``smp`` package from PyPI (which smpclient and smpmgr build on), an implementation of its own. Where
it has no model, or one that contradicts the specification, the bytes are made by ``cbor2`` from the map that stands in
Zephyr's documentation; the third entry of the row says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
from smp import enumeration_management as enum
from smp import error
from smp import file_management as fs
from smp import header as smp_header
from smp import image_management as image
from smp import os_management as os
from smp import settings_management as settings
from smp import shell_management as shell
from smp import statistics_management as stat
from smp import transport_management as transport
from smp import zephyr_management as zephyr

FILE = Path(__file__).parent / "groups.json"
SEQUENCE = 33
HASH = bytes(range(32))
SPECIFICATION = "the specification"
TASK = {"prio": -1, "tid": 2, "state": 2, "stksiz": 576, "stkuse": 58}
SLOT = {
    "image": 0,
    "slot": 1,
    "version": "1.2.3.4",
    "hash": HASH,
    "bootable": True,
    "pending": False,
    "confirmed": False,
}
LIST = {"images": [SLOT | {"active": False, "permanent": False}], "splitStatus": 0}
BLUETOOTH, SERIAL = transport.TransportType.BLUETOOTH, transport.TransportType.SERIAL

Model = tuple[type[Any] | None, dict[str, Any]]
# Our name -> (request, answer, refusal): each a model with its values; a refusal is an enum's member.
COMMANDS: dict[str, tuple[Model, Model, Any]] = {
    "Echo": ((os.EchoWriteRequest, {"d": "hällo"}), (os.EchoWriteResponse, {"r": "hällo"}), error.MGMT_ERR.EINVAL),
    "TaskStat": (
        (os.TaskStatisticsReadRequest, {}),
        (os.TaskStatisticsReadResponse, {"tasks": {"sysworkq": TASK}}),
        error.MGMT_ERR.EMSGSIZE,
    ),
    "MemoryPools": (
        (os.MemoryPoolStatisticsReadRequest, {}),
        (None, {"net_buf": {"blksiz": 384, "nblks": 4, "nfree": 3, "min": 1}}),  # its model says blksize
        error.MGMT_ERR.ENOTSUP,
    ),
    "DateTimeRead": (
        (os.DateTimeReadRequest, {}),
        (os.DateTimeReadResponse, {"datetime": "2026-01-02T03:04:05"}),
        os.OS_MGMT_RET_RC.RTC_NOT_SET,
    ),
    "DateTimeWrite": (
        (os.DateTimeWriteRequest, {"datetime": "2026-01-02T03:04:05"}),
        (os.DateTimeWriteResponse, {}),
        os.OS_MGMT_RET_RC.RTC_COMMAND_FAILED,
    ),
    "Reset": (
        (os.ResetWriteRequest, {"force": 1, "boot_mode": 1}),
        (os.ResetWriteResponse, {}),
        error.MGMT_ERR.EBUSY,
    ),
    "Params": (
        (os.MCUMgrParametersReadRequest, {}),
        (os.MCUMgrParametersReadResponse, {"buf_size": 384, "buf_count": 4}),
        error.MGMT_ERR.ENOTSUP,
    ),
    "Info": (
        (os.OSApplicationInfoReadRequest, {"format": "sn"}),
        (os.OSApplicationInfoReadResponse, {"output": "Zephyr unknown"}),
        os.OS_MGMT_RET_RC.INVALID_FORMAT,
    ),
    "BootloaderInfo": (
        (os.BootloaderInformationReadRequest, {"query": "mode"}),
        (None, {"mode": 3, "no-downgrade": True}),  # its model nests the mode
        os.OS_MGMT_RET_RC.QUERY_YIELDS_NO_ANSWER,
    ),
    "StateRead": (
        (image.ImageStatesReadRequest, {}),
        (image.ImageStatesReadResponse, LIST),
        image.IMG_MGMT_ERR.FLASH_OPEN_FAILED,
    ),
    "StateWrite": (
        (image.ImageStatesWriteRequest, {"hash": HASH, "confirm": True}),
        (None, LIST),  # its model is the answer to a read
        image.IMG_MGMT_ERR.IMAGE_CONFIRMATION_DENIED,
    ),
    "ImageUpload": (
        (
            image.ImageUploadWriteRequest,
            {"off": 0, "data": bytes(40), "image": 1, "len": 70000, "sha": HASH, "upgrade": True},
        ),
        (image.ImageUploadWriteResponse, {"off": 40, "match": True}),
        image.IMG_MGMT_ERR.CURRENT_VERSION_IS_NEWER,
    ),
    "Erase": (
        (image.ImageEraseRequest, {"slot": 3}),
        (image.ImageEraseResponse, {}),
        image.IMG_MGMT_ERR.NO_FREE_SLOT,
    ),
    "SlotInfo": (
        (None, {}),  # it has no model
        (None, {"images": [{"image": 0, "slots": [{"slot": 1, "size": 499712, "upload_image_id": 0}]}]}),
        image.IMG_MGMT_ERR.INVALID_SLOT,
    ),
    "StatData": (
        (stat.GroupDataRequest, {"name": "smp_svr_stats"}),
        (stat.GroupDataResponse, {"name": "smp_svr_stats", "fields": {"ticks": 7}}),
        stat.STAT_MGMT_ERR.ERR_INVALID_STAT_NAME,
    ),
    "StatList": (
        (stat.ListOfGroupsRequest, {}),
        (stat.ListOfGroupsResponse, {"stat_list": ("smp_svr_stats",)}),
        error.MGMT_ERR.EMSGSIZE,
    ),
    "SettingsRead": (
        (settings.ReadSettingRequest, {"name": "app/interval", "max_size": 1000}),
        (settings.ReadSettingResponse, {"val": b"\x0a\x00", "max_size": 32}),
        settings.SETTINGS_MGMT_ERR.KEY_NOT_FOUND,
    ),
    "SettingsWrite": (
        (settings.WriteSettingRequest, {"name": "app/interval", "val": b"\x0a\x00"}),
        (settings.WriteSettingResponse, {}),
        settings.SETTINGS_MGMT_ERR.ROOT_KEY_NOT_FOUND,
    ),
    "SettingsDelete": (
        (settings.DeleteSettingRequest, {"name": "app/interval"}),
        (settings.DeleteSettingResponse, {}),
        settings.SETTINGS_MGMT_ERR.KEY_TOO_LONG,
    ),
    "SettingsCommit": (
        (settings.CommitSettingsRequest, {}),
        (settings.CommitSettingsResponse, {}),
        error.MGMT_ERR.EACCESSDENIED,
    ),
    "SettingsLoad": (
        (settings.LoadSettingsRequest, {}),
        (settings.LoadSettingsResponse, {}),
        error.MGMT_ERR.EACCESSDENIED,
    ),
    "SettingsSave": (
        (settings.SaveSettingsRequest, {}),
        (settings.SaveSettingsResponse, {}),
        settings.SETTINGS_MGMT_ERR.WRITE_NOT_SUPPORTED,
    ),
    "FileDownload": (
        (fs.FileDownloadRequest, {"off": 0, "name": "/lfs1/t"}),
        (fs.FileDownloadResponse, {"off": 0, "data": b"hello", "len": 5}),
        fs.FS_MGMT_ERR.FILE_NOT_FOUND,
    ),
    "FileUpload": (
        (fs.FileUploadRequest, {"off": 0, "data": b"hello", "name": "/lfs1/t", "len": 70000}),
        (fs.FileUploadResponse, {"off": 5}),
        fs.FS_MGMT_ERR.MOUNT_POINT_NOT_FOUND,
    ),
    "FileStatus": (
        (fs.FileStatusRequest, {"name": "/lfs1/t"}),
        (fs.FileStatusResponse, {"len": 5}),
        fs.FS_MGMT_ERR.FILE_IS_DIRECTORY,
    ),
    "FileHash": (
        (fs.FileHashChecksumRequest, {"name": "/lfs1/t", "type": "sha256", "off": 1, "len": 4}),
        (fs.FileHashChecksumResponse, {"type": "sha256", "off": 1, "len": 4, "output": HASH}),
        fs.FS_MGMT_ERR.CHECKSUM_HASH_NOT_FOUND,
    ),
    "HashTypes": (
        (fs.SupportedFileHashChecksumTypesRequest, {}),
        (fs.SupportedFileHashChecksumTypesResponse, {"types": {"crc32": {"format": 0, "size": 4}}}),
        error.MGMT_ERR.EMSGSIZE,
    ),
    "FileClose": ((fs.FileCloseRequest, {}), (fs.FileCloseResponse, {}), error.MGMT_ERR.EBUSY),
    "ShellExecute": (
        (shell.ExecuteRequest, {"argv": ["kernel", "uptime"]}),
        (shell.ExecuteResponse, {"o": "Uptime: 12830 ms\r\n", "ret": 0}),
        error.MGMT_ERR.EMSGSIZE,
    ),
    "GroupCount": ((enum.GroupCountRequest, {}), (enum.GroupCountResponse, {"count": 8}), error.MGMT_ERR.ECORRUPT),
    "GroupList": (
        (enum.ListOfGroupsRequest, {}),
        (enum.ListOfGroupsResponse, {"groups": (10, 8, 1, 0, 3, 9, 2, 63)}),
        error.MGMT_ERR.ECORRUPT,
    ),
    "GroupSingle": (
        (enum.GroupIdRequest, {"index": 7}),
        (enum.GroupIdResponse, {"group": 63, "end": True}),
        enum.ENUM_MGMT_ERR.ENUM_MGMT_ERR_INDEX_TOO_LARGE,
    ),
    "GroupDetails": (
        (enum.GroupDetailsRequest, {"groups": (0, 63)}),
        (enum.GroupDetailsResponse, {"groups": ({"group": 0, "name": "os mgmt", "handlers": 8},)}),
        enum.ENUM_MGMT_ERR.ERR_TOO_MANY_GROUP_ENTRIES,
    ),
    "TransportConnect": (
        (transport.ConnectRequest, {"transport": SERIAL, "mode": 1}),
        (transport.ConnectResponse, {}),
        transport.TRANSPORT_MGMT_ERR.CONNECT_FAILED,
    ),
    "TransportDisconnect": (
        (transport.DisconnectTransportRequest, {"transport": BLUETOOTH}),
        (transport.DisconnectResponse, {}),
        transport.TRANSPORT_MGMT_ERR.NOT_BRIDGED,
    ),
    "TransportStatus": (
        (transport.StatusRequest, {}),
        (
            transport.BridgedToTransportStatusResponse,
            {"supported": 2, "active": 1, "bridged": True, "transport": BLUETOOTH},
        ),
        error.MGMT_ERR.EMSGSIZE,
    ),
    "TransportList": (
        (transport.ListOfTransportsRequest, {}),
        (transport.ListOfTransportsResponse, {"transports": ({"id": BLUETOOTH, "name": "bt"}, {"id": SERIAL})}),
        error.MGMT_ERR.EMSGSIZE,
    ),
    "TransportModes": (
        (transport.TransportModesRequest, {"transport": BLUETOOTH}),
        (transport.TransportModesResponse, {"modes": ({"id": 1, "description": "central", "outgoing": True},)}),
        transport.TRANSPORT_MGMT_ERR.TRANSPORT_MISSING_INFO_FUNCTIONS,
    ),
    "TransportConfigs": (
        (transport.TransportConfigDetailsRequest, {"transport": BLUETOOTH, "mode": 1}),
        (transport.TransportConfigDetailsResponse, {"configs": ({"name": "address", "type": 3, "required": True},)}),
        transport.TRANSPORT_MGMT_ERR.INVALID_MODE,
    ),
    "EraseStorage": (
        (zephyr.EraseStorageRequest, {}),
        (zephyr.EraseStorageResponse, {}),
        zephyr.ZEPHYRBASIC_MGMT_ERR.FLASH_ERASE_FAILED,
    ),
}
# Without the shell's, whose names it has from another group.
ENUMS = {
    0: os.OS_MGMT_RET_RC,
    1: image.IMG_MGMT_ERR,
    2: stat.STAT_MGMT_ERR,
    3: settings.SETTINGS_MGMT_ERR,
    8: fs.FS_MGMT_ERR,
    10: enum.ENUM_MGMT_ERR,
    11: transport.TRANSPORT_MGMT_ERR,
    63: zephyr.ZEPHYRBASIC_MGMT_ERR,
}


def written(model: Model) -> tuple[str, str]:
    """The message, or the body alone where there is no model; and who wrote it."""
    kind, values = model
    if kind is None:
        return cbor2.dumps(values).hex(), SPECIFICATION
    return bytes(kind(version=smp_header.Version.V2, sequence=SEQUENCE, **values)).hex(), "smp"


def refused(rc: Any) -> dict[str, Any]:
    """The body of a refusal, and the name of its code."""
    group = next((number for number, kind in ENUMS.items() if isinstance(rc, kind)), None)
    body: dict[str, object] = {"rc": rc.value} if group is None else {"err": {"group": group, "rc": rc.value}}
    return {"body": cbor2.dumps(body).hex(), "group": group, "name": plain(rc)}


def plain(rc: Any) -> str:
    """The name of a code as the specification has it, without what the package puts in front of some."""
    name: str = rc.name
    return name.removeprefix("ENUM_MGMT_").removeprefix("ERR_")


def main() -> None:
    commands = {}
    for name, (request, answer, rc) in COMMANDS.items():
        (asked, asker), (told, teller) = written(request), written(answer)
        commands[name] = {
            "request": asked,
            "request_by": asker,
            "answer": told,
            "answer_by": teller,
            "refusal": refused(rc),
        }
    codes = {group: {plain(rc): rc.value for rc in kind} for group, kind in ENUMS.items()}
    FILE.write_text(json.dumps({"commands": commands, "codes": codes}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
