"""Secure DFU over Bluetooth LE: ``Transport`` on the DFU service, from the application into the bootloader and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from smpdfu.errors import ConnectError, FormatError, LinkError, LinkLostError
from smpdfu.link.ble.dfu_pipe import DfuPipe, DfuRole, Sought
from smpdfu.link.ble.search import ANY, SYSTEM, Backends
from smpdfu.link.ble.service_pipe import CONNECT_S
from smpdfu.securedfu.protocol.buttonless import (
    NAME_MAX,
    ButtonlessAnswer,
    ButtonlessRequest,
    ButtonlessResult,
    EnterBootloader,
    SetName,
)
from smpdfu.securedfu.send.ble_addresses import applications_of, bootloaders_of, is_shown, is_static, name_for
from smpdfu.securedfu.send.transport import CameBack

WRITES_MAX = 16
"""Unconfirmed writes. A bootloader has 17 buffers or more, old ones about 15 to 20 (``MAX_DFU_BUFFERS``)."""
ANSWER_S = 5.0
"""How long the application may take to answer: it writes to flash before."""
RESTART_S = 5.0
"""How long it may take after that to disconnect. A device that resets at once is noticed by the supervision timeout."""
BUSY_PAUSE_S, BUSY_TIMES = 0.5, 6
JUMPS = 3
"""How often the application is asked. A system may show the services of the application once more from memory."""
SURE_S = 2.0
"""What is heard before that may be the bootloader on its way into the restart."""


class BleTransport:
    """The bootloader of the device ``target``: its name, its address, or ``ANY``. Implements ``Transport``.

    ``open`` starts the bootloader first if the application runs and has the buttonless service. ``bootloader_name`` is
    what the bootloader shall advertise then; without it smpdfu chooses a name where the address cannot tell.
    """

    pings = write_ahead = False
    starts_bootloader = True
    bytes_per_s = None
    through_debugger = False

    def __init__(
        self,
        target: str = ANY,
        *,
        backends: Backends = SYSTEM,
        adapter: str | None = None,
        pair: bool = False,
        bootloader_name: str | None = None,
        connect_s: float = CONNECT_S,
    ) -> None:
        if bootloader_name is not None and not 1 <= len(bootloader_name.encode()) <= NAME_MAX:
            raise ValueError(f"a bootloader's name has 1 to {NAME_MAX} bytes")
        self._pipe = DfuPipe(target, backends=backends, adapter=adapter, pair=pair, connect_s=connect_s)
        if is_shown(target):  # an earlier call may have left the device in its bootloader
            self._pipe.sought = Sought(bootloaders_of(target), frozenset({target}))
        self._given_name = bootloader_name
        self._bootloaders: frozenset[str] = frozenset()
        self._applications: frozenset[str] = frozenset()
        self._name: str | None = None

    @property
    def name(self) -> str:
        device = self._pipe.device
        return self._pipe.name if device is None else f"ble:{device.address}"

    @property
    def write_size(self) -> int:
        return self._pipe.max_write

    @property
    def receipts(self) -> int:
        return self.writes_max // 2

    @property
    def writes_max(self) -> int:
        queue = self._pipe.in_flight_max
        return WRITES_MAX if queue is None else min(WRITES_MAX, queue // self.write_size)

    async def open(self) -> None:
        """Connect to the bootloader; start it first if the application runs. Raises LinkError."""
        try:
            for _ in range(JUMPS):
                await self._pipe.open()
                if self._pipe.role is DfuRole.BOOTLOADER:
                    self._remember_bootloader()
                    return
                await self._enter_bootloader()
        except BaseException:
            await self._pipe.close()
            raise
        raise ConnectError(
            f"{self.name} does not start its bootloader: the application comes back each time", self.name
        ).because("bootloader-not-entered")

    async def close(self) -> None:
        """Disconnect."""
        await self._pipe.close()

    async def request(self, message: bytes) -> None:
        """Write to the control point."""
        await self._pipe.request(message)

    async def write_data(self, data: bytes) -> None:
        """Write to the packet characteristic, without a response."""
        await self._pipe.write(data)

    async def read(self) -> bytes:
        """Wait for a notification of the control point."""
        return await self._pipe.read()

    async def came_back(self, within_s: float) -> CameBack:
        """Listen for the device: which of its addresses advertises, and what it has there."""
        await self._pipe.close()
        if not self._bootloaders:
            return CameBack.UNKNOWN
        try:
            async with asyncio.timeout(within_s):
                return await self._watch()
        except TimeoutError:
            return CameBack.UNKNOWN
        finally:
            await self._pipe.close()

    async def _watch(self) -> CameBack:
        addresses = self._bootloaders | self._applications
        while True:
            heard = await self._pipe.heard_again(addresses, SURE_S)
            if heard not in self._bootloaders:
                return CameBack.APPLICATION
            # An application may have the bootloader's address, and a system may remember services: look at it.
            self._pipe.sought = Sought(applications=frozenset({heard}))
            try:
                await self._pipe.open()
            except ConnectError as error:
                if error.code == "no-secure-dfu":
                    return CameBack.APPLICATION
                continue  # it was on its way into a restart
            is_bootloader = self._pipe.role is DfuRole.BOOTLOADER
            return CameBack.BOOTLOADER if is_bootloader else CameBack.APPLICATION

    def _remember_bootloader(self) -> None:
        """From now on, look for the same device alone."""
        device = self._pipe.device
        assert device is not None
        self._bootloaders = frozenset({device.address})
        known = self._applications - self._bootloaders
        self._pipe.sought = Sought(self._bootloaders, known, self._name)
        self._applications = self._applications or applications_of(device.address)

    # --- from the application into the bootloader ---------------------------------------------------------------------

    async def _enter_bootloader(self) -> None:
        """Start the bootloader, and look for it in the next ``open``."""
        device, role = self._pipe.device, self._pipe.role
        assert device is not None
        if role is DfuRole.BUTTONLESS:
            await self._set_name(device.address)
        answer = await self._ask(EnterBootloader())
        if answer is not None and answer.result != ButtonlessResult.SUCCESS:
            raise self._refused(answer)
        if answer is not None:
            await self._wait_for_restart()
        await self._pipe.close()
        bonded = role is DfuRole.BUTTONLESS_BONDED
        self._applications = frozenset({device.address})
        addresses = self._applications if bonded else bootloaders_of(device.address)
        self._pipe.sought = Sought(addresses, name=self._name)

    async def _set_name(self, address: str) -> None:
        """Give the bootloader a name, where that is wanted or the address cannot tell."""
        name = self._given_name or (None if is_static(address) else name_for(address))
        if name is None:
            return
        answer = await self._ask(SetName(name))
        if answer is None:
            raise ConnectError(
                f"{self.name} restarted when it was asked to change its bootloader's name: its firmware does not "
                "initialise that part of the buttonless service",
                self.name,
            ).because("name-restarts")
        if answer.result == ButtonlessResult.SUCCESS:
            self._name = name
        elif self._given_name is not None:
            raise self._refused(answer)

    async def _ask(self, request: ButtonlessRequest) -> ButtonlessAnswer | None:
        """Return the application's answer, or None if it disconnected before. Waits while it is busy."""
        message = request.to_bytes()
        for attempt in range(BUSY_TIMES):
            if attempt:
                await asyncio.sleep(BUSY_PAUSE_S)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._pipe.request(message)
                    answer = await self._answer(message[0])
            except LinkLostError:
                if self._pipe.is_connected:  # the device, or the system, did not take the request
                    raise
                return None
            except TimeoutError:
                raise LinkLostError(
                    f"{self.name} does not answer its buttonless service within {ANSWER_S:g} s"
                ) from None
            if answer.result != ButtonlessResult.BUSY:
                break
        return answer

    async def _answer(self, opcode: int) -> ButtonlessAnswer:
        while True:
            try:
                answer = ButtonlessAnswer.from_bytes(await self._pipe.read())
            except FormatError:
                continue
            if answer.opcode == opcode:
                return answer

    async def _wait_for_restart(self) -> None:
        """The application disconnects when its answer was confirmed; if it does not, we do."""
        try:
            async with asyncio.timeout(RESTART_S):
                while True:
                    await self._pipe.read()
        except (TimeoutError, LinkError):
            return

    def _refused(self, answer: ButtonlessAnswer) -> ConnectError:
        words = _REFUSALS.get(answer.result, f"it answers {answer.result}")
        return ConnectError(f"{self.name} does not start its bootloader: {words}", self.name).because(
            "bootloader-refused", result=str(answer.result)
        )


_REFUSALS: Mapping[int, str] = {
    ButtonlessResult.OPCODE_NOT_SUPPORTED: "its firmware does not support the request",
    ButtonlessResult.OPERATION_FAILED: "that failed there; the bootloader may protect its settings page",
    ButtonlessResult.NAME_INVALID: "the name for the bootloader is not valid",
    ButtonlessResult.BUSY: "it stays busy with an earlier request",
    ButtonlessResult.NOT_BONDED: "it has no bond with this computer",
}
