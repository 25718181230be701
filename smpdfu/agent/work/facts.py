"""What the server hears of a device: sent when it asks, and when something changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from smpdfu.agent.actions.attributes import changed, claim_attributes, known_attributes, read_attributes
from smpdfu.agent.actions.claims import CLAIM, CLAIMED, Claim
from smpdfu.agent.actions.events import AttributesSent
from smpdfu.agent.actions.journal import net_version_in
from smpdfu.agent.ddi.config_data import ConfigData
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.work.keeper import Keeper
from smpdfu.agent.work.ports import Ports
from smpdfu.agent.work.retry import Retry
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import JournalError, SmpdfuError
from smpdfu.library import journal_of, read_device_state

_FRESH_S = 600.0
"""How long what a device told is told again without asking it."""
_READ_WITHIN_S = 60.0


class Facts:
    """The attributes of one device. Methods that send raise ServerError, or JournalError for a full disk."""

    def __init__(self, device: FleetDevice, file: AgentFile, ports: Ports, keeper: Keeper) -> None:
        self._device = device
        self._file = file
        self._ports = ports
        self._keeper = keeper
        self._retry = Retry(ports.pace.first_read_s, ports.pace.most_read_s)
        self._fresh_until: float | None = None
        self._started = False

    def due(self, now_s: float) -> bool:
        """True if something is to be told although the server does not ask."""
        if not self._started:
            self._started = True
            return self._changed(self._known())
        return self._retry.due_s is not None and self._retry.is_due(now_s)

    async def tell_known(self, link: str | None) -> None:
        """Tell what is known without asking the device."""
        await self._send(self._known(), link)

    async def tell(self, link: str | None) -> None:
        """Ask the device, if it did not tell lately, and tell the server. ``link`` is where the server wants it.

        A device that does not answer is asked again later.
        """
        now_s = asyncio.get_running_loop().time()
        if self._fresh_until is not None and now_s < self._fresh_until:
            told = {name: text for name, text in self._keeper.record.sent.items() if name not in (CLAIM, CLAIMED)}
            await self._send({**told, **self._known()}, link)
            return
        found = self._known()
        try:
            async with asyncio.timeout(None) as limit, self._ports.limits.slot(self._device.address):
                limit.reschedule(asyncio.get_running_loop().time() + _READ_WITHIN_S)
                found |= await self._read()
        except (SmpdfuError, TimeoutError):
            self._retry.failed(now_s, self._ports.random)
        else:
            self._read_now(now_s)
        if link is not None or self._changed(found):
            await self._send(found, link, read=self._retry.due_s is None)

    async def after_update(self, installed: Installed | None, package: Package | None) -> None:
        """Tell what an update showed; after one that failed, the device is asked soon."""
        now_s = asyncio.get_running_loop().time()
        if installed is None or package is None:
            self._retry.due_s = now_s
            return
        net = package.image(Role.NET)
        known = net is not None and installed.proven
        version = str(net.image.header.version) if net is not None and known else await self._net_version()
        found = self._known() | read_attributes(installed.state, version)
        self._read_now(now_s)
        if self._changed(found):
            await self._send(found, None, read=True)

    async def _read(self) -> dict[str, str]:
        how, address = self._file.treatment, self._device.address
        client = self._ports.client(address, how.timeout_s, how.transfer_timeout_s)
        state: DeviceState = await read_device_state(address, client=client)
        return read_attributes(state, await self._net_version())

    async def _net_version(self) -> str | None:
        return await asyncio.to_thread(net_version_in, journal_of(self._device.address))

    def _read_now(self, now_s: float) -> None:
        self._retry.reset()
        self._fresh_until = now_s + _FRESH_S

    def _known(self) -> dict[str, str]:
        record = self._keeper.record
        found = known_attributes(self._device, Claim(self._file.gateway, record.claim))
        if CLAIM not in record.sent:
            found |= claim_attributes(Claim(self._file.gateway, record.claim), record.claimed)
        return found

    def _changed(self, found: dict[str, str]) -> bool:
        return changed(found, self._keeper.record.sent)

    async def _send(self, found: dict[str, str], link: str | None, *, read: bool = False) -> None:
        await self._ports.server.put_config_data(self._keeper.name, ConfigData(found), link)
        record = self._keeper.record
        try:
            await self._keeper.keep(replace(record, sent={**record.sent, **found}))
        except JournalError:  # it is told once more after the next start, no worse
            return
        finally:
            self._ports.watch(AttributesSent(self._keeper.name, read=read))


def time_in_words(seconds: float) -> str:
    """A time in seconds since 1970 as the attributes have it; "" for one that is no date."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""
