"""The registry of the groups: one line for each command, and one for each enum of result codes."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from smpdfu.smp.groups import enum, fs, image, os, settings, shell, stat, transport, zephyr
from smpdfu.smp.message import MgmtRc, Op, Request

REQUESTS: tuple[type[Request[Any]], ...] = (
    os.Echo,
    os.TaskStat,
    os.MemoryPools,
    os.DateTimeRead,
    os.DateTimeWrite,
    os.Reset,
    os.Params,
    os.Info,
    os.BootloaderInfo,
    image.StateRead,
    image.StateWrite,
    image.ImageUpload,
    image.Erase,
    image.SlotInfo,
    stat.StatData,
    stat.StatList,
    settings.SettingsRead,
    settings.SettingsWrite,
    settings.SettingsDelete,
    settings.SettingsCommit,
    settings.SettingsLoad,
    settings.SettingsSave,
    fs.FileDownload,
    fs.FileUpload,
    fs.FileStatus,
    fs.FileHash,
    fs.HashTypes,
    fs.FileClose,
    shell.ShellExecute,
    enum.GroupCount,
    enum.GroupList,
    enum.GroupSingle,
    enum.GroupDetails,
    transport.TransportConnect,
    transport.TransportDisconnect,
    transport.TransportStatus,
    transport.TransportList,
    transport.TransportModes,
    transport.TransportConfigs,
    zephyr.EraseStorage,
)
"""Every request that smpdfu can send. The virtual device finds its handlers by this list."""

RCS: dict[int, type[IntEnum]] = {
    os.GROUP: os.OsRc,
    image.GROUP: image.ImageRc,
    stat.GROUP: stat.StatRc,
    settings.GROUP: settings.SettingsRc,
    fs.GROUP: fs.FsRc,
    shell.GROUP: shell.ShellRc,
    enum.GROUP: enum.EnumRc,
    transport.GROUP: transport.TransportRc,
    zephyr.GROUP: zephyr.ZephyrRc,
}
"""The result codes of each group."""

_BY_WIRE = {(op, kind.group, kind.command): kind for kind in REQUESTS for op in (kind.op, *kind.also)}


def find_request(op: Op, group: int, command: int) -> type[Request[Any]] | None:
    """Return the class of the request with these header fields; None if there is none."""
    return _BY_WIRE.get((op, group, command))


def rc_name(group: int | None, rc: int) -> str | None:
    """Return the name of a result code of ``group`` (None: SMP's own); None if it has no name."""
    codes = MgmtRc if group is None else RCS.get(group)
    try:
        return codes(rc).name if codes else None
    except ValueError:
        return None
