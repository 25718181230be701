"""One attempt to bring the package of an action onto its device: ``install`` with its journal, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smpdfu.agent.work.ports import Ports
from smpdfu.dfu.decide.steps.plan import Plan
from smpdfu.dfu.decide.steps.rules import activates
from smpdfu.dfu.do.events import Event, StepBegun
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.do.update import Wish
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.dfu.fleet.description.treatment import Treatment
from smpdfu.dfu.fleet.treated import ask_version_of, health_of
from smpdfu.dfu.package.package import Package
from smpdfu.errors import DeviceTimeoutError
from smpdfu.library import open_update


@dataclass(slots=True)
class Attempt:
    """One attempt. ``action`` is what the journal gets, ``tell`` is called with every event of the update.

    ``activate`` is called before the first step after which the device may boot the new image: in the event loop, and
    before that step is in the journal.
    """

    device: FleetDevice
    how: Treatment
    package: Package
    action: Mapping[str, str]
    ports: Ports
    tell: Callable[[Event], None]
    activate: Callable[[], None]
    _step: str = field(default="", init=False)
    _plan: Plan | None = field(default=None, init=False)

    async def run(self) -> Installed:
        """Update the device. Raises what ``Update`` raises, and DeviceTimeoutError.

        If it is cancelled, nothing goes on after the call, and the next attempt continues.
        """
        seconds = self.how.device_timeout_s
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._update()
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeviceTimeoutError(seconds, self._step) from None

    async def _update(self) -> Installed:
        how, address, packages = self.how, self.device.address, self.ports.packages
        async with open_update(
            address,
            self.package,
            self.ports.client(address, how.timeout_s, how.transfer_timeout_s),
            wish=Wish(
                how.policy,
                how.scheme,
                bootloader=self.device.bootloader,
                no_downgrade=how.no_downgrade,
                trust=packages.trust,
                nsib=packages.nsib,
            ),
            health=health_of(how, address),
            net_version=ask_version_of(how, address),
            deadlines=Deadlines(how.boot_timeout_s),
            action=self.action,
        ) as update:
            decision = await update.look()
            self._plan = decision.plan
            return await update.run(decision, self._note)

    def _note(self, event: Event) -> None:
        if isinstance(event, StepBegun):
            self._step = event.step.name
            if self._plan is not None and activates(event.step, self._plan.method):
                self.activate()
        self.tell(event)
