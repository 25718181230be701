"""Is a gateway ready for its agent? Each check gives findings; none changes anything, here or at the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from smpdfu.agent.actions.claims import CLAIMED, gateway_in_attributes
from smpdfu.agent.actions.record_files import RecordFiles
from smpdfu.agent.description.authentication import Credentials
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.gateway_status import running_pid, state_folder
from smpdfu.agent.report import doctor_files, doctor_server
from smpdfu.agent.target_attributes import opened_attributes
from smpdfu.agent.work.opening import packages_of
from smpdfu.connect import client_for, place_of
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.errors import AgentFileError, DeviceError, FormatError, ServerError, SmpdfuError
from smpdfu.library import open_device
from smpdfu.local.doctor.checks import Finding, Level
from smpdfu.smp.groups.os import Echo
from smpdfu.untrusted.text import line

TOPIC = "devices"
TOPICS = (doctor_files.TOPIC, doctor_server.TOPIC, TOPIC)
AT_ONCE = 16
"""Devices that are asked at a time."""
WITHIN_S = 15.0
"""How long one device may take, with connecting."""
_ANSWER_S = 2.5
_LISTED = 20


async def examine_gateway(
    path: Path | str, *, topics: Iterable[str] = TOPICS, now: Callable[[], float] = time.time
) -> list[Finding]:
    """Check what the agent of this file needs, by topic: "files", "server" and "devices".

    Raises AgentFileError or OSError for the file itself.
    """
    file = AgentFile.load(Path(path), place_of)
    wanted = frozenset(topics)
    found: list[Finding] = []
    if "files" in wanted:
        found += doctor_files.check_files(file)
        found += _check_keys(file)
    secrets = doctor_files.check_secrets(file)
    if isinstance(secrets, Finding):
        found.append(secrets)
    if "server" in wanted and isinstance(secrets, Credentials):
        found += await doctor_server.check_server(file, secrets, now)
        found += await _check_claims(file)
    if "devices" in wanted:
        found += await _check_devices(file)
    return found


def _check_keys(file: AgentFile) -> Iterator[Finding]:
    """Read the keys as the agent does, which does not start without one of them."""
    try:
        packages_of(file)
    except (SmpdfuError, OSError) as error:
        yield Finding(
            "key",
            doctor_files.TOPIC,
            Level.ERROR,
            line(str(error)),
            "The agent checks each package with the keys of its file, and does not start without one of them.",
            "Put the file of the key there, or correct its name in the agent's file.",
        )


async def _check_claims(file: AgentFile) -> list[Finding]:
    """Compare with the attributes at the server, where the file has a login for them."""
    if file.management is None:
        return []
    try:
        async with opened_attributes(file, file.management.password()) as read:
            names = list(file.devices)[: doctor_server.MAX_ASKED]
            found = [one for name in names for one in _claim_of(file.gateway, name, await read(name))]
    except (AgentFileError, ServerError) as error:
        return [Finding("management", doctor_server.TOPIC, Level.ERROR, f"[management]: {line(str(error))}")]
    except OSError as error:
        what = f"[management]: {file.management.password_file} cannot be read: {error.strerror or error}"
        return [Finding("management", doctor_server.TOPIC, Level.ERROR, what)]
    ready = "the server shows the attributes of the devices: [management] can be used"
    return [Finding("management-ready", doctor_server.TOPIC, Level.OK, ready), *found]


def _claim_of(own: str, name: str, attributes: Mapping[str, str]) -> Iterator[Finding]:
    other = gateway_in_attributes(attributes)
    if other is None or other == own:
        return
    since = f" since {line(attributes[CLAIMED])}" if attributes.get(CLAIMED) else ""
    yield _elsewhere(f"{name}: the server has it as a device of the gateway {line(other)}{since}", Level.WARNING)


def _elsewhere(what: str, level: Level) -> Finding:
    return Finding(
        "claimed-elsewhere",
        TOPIC,
        level,
        what,
        "A device belongs to one gateway. Of two agents, the one that comes later takes it.",
        "Remove the device from the file of one of the two gateways.",
    )


async def _check_devices(file: AgentFile) -> list[Finding]:
    try:
        pid = running_pid(file)
    except OSError:
        pid = None  # the folder of another user: its check says so
    found = list(_claims(file))
    if pid is not None:
        what = f"the agent runs (process {pid}): smpdfu does not disturb its devices"
        return [*found, Finding("agent-runs", TOPIC, Level.NOTE, what)]
    if not file.devices:
        what = "the file names no devices: they are searched when the agent runs"
        return [*found, Finding("no-devices", TOPIC, Level.NOTE, what)]
    slots = asyncio.Semaphore(AT_ONCE)
    answers = await asyncio.gather(*(_ask(one, slots) for one in file.devices.values()))
    return [*found, *_answered(dict(zip(file.devices, answers, strict=True)))]


async def _ask(device: FleetDevice, slots: asyncio.Semaphore) -> str | None:
    """Ask a device for an echo; return why it does not answer, None if it does."""
    async with slots:
        try:
            async with (
                asyncio.timeout(WITHIN_S),
                open_device(device.address, client_for(device.address, timeout_s=_ANSWER_S), unlocked=ignore) as client,
            ):
                await client.request(Echo("smpdfu"), attempts=2)
        except TimeoutError:
            return f"no answer within {WITHIN_S:g} s"
        except DeviceError:
            return None  # it answers
        except (SmpdfuError, OSError) as error:
            return line(str(error))
    return None


def _answered(answers: Mapping[str, str | None]) -> Iterator[Finding]:
    silent = {name: why for name, why in answers.items() if why is not None}
    good = len(answers) - len(silent)
    if good:
        yield Finding("devices-ready", TOPIC, Level.OK, f"devices that answer: {good} of {len(answers)}")
    for name, why in list(silent.items())[:_LISTED]:
        what = f"{name}: {why}"
        yield Finding("device", TOPIC, Level.WARNING, what, "The agent tries again until the device answers.")
    if len(silent) > _LISTED:
        yield Finding("device", TOPIC, Level.WARNING, f"more devices that do not answer: {len(silent) - _LISTED}")


def _claims(file: AgentFile) -> Iterator[Finding]:
    """Find the devices that this agent left to another gateway, by its own records."""
    files = RecordFiles(state_folder(file))
    for name in file.devices:
        try:
            other = files.look(name).lost_to
        except FormatError as error:
            yield Finding("record", TOPIC, Level.WARNING, f"{name}: the agent's record is damaged: {error}")
            continue
        except OSError as error:
            what = f"the agent's records in {files.folder} cannot be read: {error.strerror or error}"
            yield Finding("record", TOPIC, Level.NOTE, what)
            return
        if other is not None:
            yield _elsewhere(f"{name}: this agent left it to the gateway {line(other)}", Level.ERROR)


def ignore(sentence: str) -> None:
    """Take no notice that the device cannot be locked: an echo changes nothing."""
