"""What takes longer than a poll: the work on the action of a device, and reading the device. One task at a time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import replace

from smpdfu.agent.actions.claims import Claim
from smpdfu.agent.actions.events import Unexpected
from smpdfu.agent.actions.outcome import Result, result_of_error
from smpdfu.agent.ddi.polling import Poll
from smpdfu.agent.ddi.resources import Deployment
from smpdfu.agent.description.file import AgentFile
from smpdfu.agent.work.carry_out import CarryOut, Waits
from smpdfu.agent.work.facts import Facts
from smpdfu.agent.work.keeper import Keeper
from smpdfu.agent.work.ports import Ports
from smpdfu.agent.work.retry import Retry
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.errors import ServerError, SmpdfuError


class DeviceTask:
    """The task of one device, if there is one. While it runs the polls go on, so that a cancellation is heard.

    ``activated``: the device may boot the new image of its action. ``reading``: the task reads the device and changes
    nothing. ``waits``: the last attempt at the action did not end it. ``retry`` is when the next attempt may begin.
    """

    def __init__(
        self,
        device: FleetDevice,
        file: AgentFile,
        ports: Ports,
        keeper: Keeper,
        polls: Poll,
        *,
        missed: Callable[[ServerError | None], None],
        woken: Callable[[], None],
    ) -> None:
        """``missed`` is called if something may not have reached the server, ``woken`` at the end of each task."""
        self.facts = Facts(device, file, ports, keeper)
        self.retry = Retry(ports.pace.first_retry_s, ports.pace.most_retry_s)
        self.activated = self.reading = self.waits = False
        self._device = device
        self._file = file
        self._ports = ports
        self._keeper = keeper
        self._polls = polls
        self._missed = missed
        self._woken = woken
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """True while something is done with the device, or for its action."""
        return self._task is not None

    def begin(self, offered: Deployment, *, resumed: bool) -> None:
        """Begin an attempt at the action; ``resumed``: an earlier one may have written to the device."""
        claim = Claim(self._file.gateway, self._keeper.record.claim)
        attempt = CarryOut(
            *(self._device, self._file, self._ports, self._keeper, offered, claim, self._activate),
            activated=self.activated,
            resumed=resumed,
        )
        self._task = asyncio.create_task(self._carry_out(attempt))

    def read(self, link: str | None) -> None:
        """Begin to read the device, and tell the server at ``link``."""
        self.reading = True
        self._task = asyncio.create_task(self._read(link))

    def cancel(self) -> None:
        """Ask the task to end."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> bool:
        """Stop what is done with the device, in a state that can be continued; False if nothing was."""
        task = self._task
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def settle(self) -> None:
        """Wait for what is done with the device now."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def try_again(self, result: Result) -> None:
        """Plan the next attempt at the action, and say why this one did not end it."""
        self.put_off()
        self._say_why(result.cause, result.message)

    def unexpected(self, error: Exception) -> None:
        """Report a defect, and plan the next attempt."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        self._ports.watch(Unexpected(self._keeper.name, f"{type(error).__name__}: {error}", place))
        self.put_off()

    def put_off(self) -> None:
        """Plan the next attempt: later each time."""
        due_s = self.retry.failed(_now(), self._ports.random)
        self._polls.due_s = min(self._polls.due_s, due_s)

    def _activate(self) -> None:
        self.activated = True

    async def _carry_out(self, attempt: CarryOut) -> None:
        try:
            self.waits = True
            waits = await attempt.run()
            self.waits = waits is not None
            if waits is None:
                self.retry.reset()
                self._missed(None)  # if the server lost the result, it answers as before
                self._polls.wake(_now())
                await self._after_the_end(attempt)
            else:
                await self._wait(waits)
        except (SmpdfuError, OSError) as error:  # such as a full disk
            self.try_again(result_of_error(error))
        except Exception as error:
            self.unexpected(error)
        finally:
            self._ended()

    async def _after_the_end(self, attempt: CarryOut) -> None:
        """Send the result at once; if the server does not answer, the next poll does."""
        try:
            await self._keeper.deliver()
            await self.facts.after_update(attempt.installed, attempt.package)
        except (SmpdfuError, OSError) as error:
            self._missed(error if isinstance(error, ServerError) else None)

    async def _wait(self, waits: Waits) -> None:
        action = self._keeper.action
        if waits.lost_to is not None:
            await self._keeper.keep(replace(self._keeper.record, lost_to=waits.lost_to))
        if action is None or not action.open:
            return
        if waits.retry:
            self.put_off()
        self._say_why(waits.cause, waits.message, tell=waits.tell)
        await self._keeper.flush()
        await self._keeper.keep_told()

    def _say_why(self, cause: str, message: str, *, tell: bool = True) -> None:
        next_s = 0.0 if self.retry.due_s is None else max(self.retry.due_s - _now(), 0.0)
        self._keeper.waits(cause, message, next_s, tell=tell)

    async def _read(self, link: str | None) -> None:
        try:
            await self.facts.tell(link)
        except (SmpdfuError, OSError) as error:
            self._missed(error if isinstance(error, ServerError) else None)
        except Exception as error:
            self.unexpected(error)
        finally:
            self._ended()

    def _ended(self) -> None:
        self._task, self.reading = None, False
        self._woken()


def _now() -> float:
    return asyncio.get_running_loop().time()
