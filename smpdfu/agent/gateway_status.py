"""What is known of a gateway's agent: does it run, and what did it last write about its devices?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smpdfu.agent.actions.record_files import folder_of
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.report.status import AgentStatus, DeviceStatus, read_status
from smpdfu.connect import place_of
from smpdfu.local.state.lock import holder


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """``pid`` is the process of the agent if it runs, 0 if that number is not known, None if it does not run.

    ``gateway``, ``server`` (its URL) and ``tenant`` are those of the agent's file. ``last`` is what the agent last
    wrote, None if it never did. ``devices`` are those of the file and of ``last``.
    """

    gateway: str
    server: str
    tenant: str
    pid: int | None
    last: AgentStatus | None
    devices: dict[str, DeviceStatus]

    @property
    def running(self) -> bool:
        """True if an agent works for this gateway now."""
        return self.pid is not None


def agent_status(path: Path | str) -> GatewayStatus:
    """Read what is known of the agent of a file. No device and no server is asked.

    Raises AgentFileError, FormatError if what the agent wrote is damaged, or OSError.
    """
    file = AgentFile.load(Path(path), place_of)
    last = read_status(state_folder(file))
    known = {} if last is None else last.devices
    names = dict.fromkeys((*file.devices, *known))
    devices = {name: known.get(name) or DeviceStatus() for name in names}
    address = file.server.address
    return GatewayStatus(file.gateway, address.url, address.tenant, running_pid(file), last, devices)


def state_folder(file: AgentFile) -> Path:
    """Return the folder of what the agent keeps about its devices at this server."""
    return folder_of(file.state, file.server.address.url, file.server.address.tenant)


def running_pid(file: AgentFile) -> int | None:
    """Return the process of the agent; 0 if it runs and does not tell, None if it does not run. Raises OSError."""
    note = holder(state_folder(file) / "lock", of_anyone=True)
    if note is None:
        return None
    pid = note.get("pid")
    return pid if type(pid) is int else 0
