"""Ask, before each step, whether the same device is still there; ``identity`` compares."""

from __future__ import annotations

from dataclasses import dataclass, replace

from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.identity import ASK_HARDWARE, Identity, hardware_in, identity_of
from smpdfu.dfu.decide.steps.rules import Step
from smpdfu.dfu.do.state_reading import ask, read_slots
from smpdfu.dfu.do.steps import SILENCE
from smpdfu.errors import StepError
from smpdfu.smp.groups.os import Info


@dataclass(slots=True)
class SameDevice:
    """The device at the far end of ``client``, as far as it told who it is."""

    client: Client
    _hardware: str | None = None
    _asked: bool = False

    async def learn(self, state: DeviceState) -> DeviceState:
        """Note who the device is, as of a ``state`` that was just read. The state with the device's platform.

        Raises LinkError.
        """
        platform = None if state.board else await ask(self.client, Info("i"))
        self._hardware, self._asked = await read_hardware(self.client), True
        return replace(state, board=platform.output.strip() if platform else state.board)

    def expect(self, hardware: str | None) -> None:
        """Take over the chip's number that a journal has, where the one who answers cannot tell it."""
        if hardware is not None and self._hardware is None:
            self._hardware, self._asked = hardware, True

    async def check(self, step: Step, state: DeviceState) -> None:
        """Compare what the device tells now with ``state``, read after the step before.

        Raises StepError for another device, or one that changed, before ``step`` writes anything; LinkError.
        """
        try:
            now = await self._read(state)
        except SILENCE:  # a link that was lost may lead elsewhere when it is back
            await self.client.wait_for_device(self.client.patience.reconnect_s)
            now = await self._read(state)
        before = identity_of(state, self._hardware if self._asked else now.hardware)
        self._hardware, self._asked = before.hardware, True
        if why := before.change(now, step):
            text = f"the device at {self.client.name} is another one than before: {why}. Nothing more was written. "
            text += "Connect the first device again"
            if before.is_same_chip(now):
                text = f"the device at {self.client.name} has changed: {why}. Nothing more was written"
            raise StepError(text, step.name, resumable=True)

    async def _read(self, state: DeviceState) -> Identity:
        board = state.board and await ask(self.client, Info("i"))
        slots = await read_slots(self.client, state)
        now = replace(slots, board=board.output.strip() if board else None)
        return identity_of(now, None if self._asked and self._hardware is None else await read_hardware(self.client))

    @property
    def hardware(self) -> str | None:
        """The number of its chip; None where it was not asked for, or the device does not tell."""
        return self._hardware


async def read_hardware(client: Client) -> str | None:
    """The number of the device's chip, None where it does not tell. Raises LinkError."""
    answer = await ask(client, ASK_HARDWARE)
    return None if answer is None else hardware_in(answer.o)
