"""Another device at the same address: what tells, what does not, and that an update stops before it writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.identity import Identity, hardware_in, identity_of
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.same_device import SameDevice
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.update import Event, StepDone, Update
from smpdfu.dfu.package.images import Role
from smpdfu.errors import StepError
from smpdfu.link.memory import Faults
from smpdfu.link.pipe import Pipe
from smpdfu.virtual.device import VirtualNrf5340
from tests.pipes import PassingPipe
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.dfu.conftest import Maker, State
    from tests.dfu.dfu_device import SHORT, UNASKED, client_of, new_device, run_update, version
else:
    from dfu_device import SHORT, UNASKED, client_of, new_device, run_update, version

ONE = Identity("0011aabb", "nrf5340dk/nrf5340/cpuapp", b"\x11" * 32)
UPLOAD, CHECK = Step(Action.UPLOAD, Role.APP), Step(Action.CHECK, Role.APP)


@pytest.mark.parametrize(
    ("now", "step", "said"),
    [
        (ONE, UPLOAD, ""),
        (Identity(), UPLOAD, ""),
        (replace(ONE, hardware="0011aabc"), UPLOAD, "its chip has the number 0011aabc, and 0011aabb before"),
        (replace(ONE, hardware="0011aabc"), CHECK, "its chip has the number 0011aabc, and 0011aabb before"),
        (
            replace(ONE, hardware=None, platform="thingy53/nrf5340/cpuapp"),
            CHECK,
            "it says that it is a thingy53/nrf5340/cpuapp",
        ),
        (replace(ONE, platform="thingy53/nrf5340/cpuapp"), CHECK, ""),
        (replace(ONE, hardware=None, platform="nrf5340dk_nrf5340_cpuapp"), CHECK, ""),
        (replace(ONE, hardware=None, platform="nrf5340dk@1.0.0/nrf5340/cpuapp"), CHECK, ""),
        (replace(ONE, running=b"\x22" * 32), UPLOAD, "it runs another image than before, and it was not reset"),
        (replace(ONE, running=b"\x22" * 32), Step(Action.RESET, Role.APP), "it runs another image"),
        (replace(ONE, running=b"\x22" * 32), CHECK, ""),
        (replace(ONE, running=b"\x22" * 32), Step(Action.UPLOAD, Role.NET), ""),
        (replace(ONE, running=None), UPLOAD, ""),
    ],
)
def test_what_tells_that_it_is_another_device(now: Identity, step: Step, said: str) -> None:
    found = ONE.change(now, step)
    assert found.startswith(said)
    assert bool(found) is bool(said)
    assert Identity().change(now, step) == ""


def test_what_a_state_tells(state: State) -> None:
    device = state(board="nrf5340dk/nrf5340/cpuapp")
    assert device.running is not None
    assert identity_of(device, "01") == Identity("01", "nrf5340dk/nrf5340/cpuapp", device.running.hash)
    assert identity_of(replace(device, slots=())).running is None


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("\r\nLength: 8\r\nID: 0x0123456789ABCDEF\r\n", "0123456789abcdef"),
        ("Length: 8\nID: 0123", "0123"),
        ("hwinfo: command not found\r\n", None),
        ("Not supported by hardware", None),
        ("ID: 0x", None),
        ("", None),
    ],
)
def test_the_number_of_a_chip(output: str, number: str | None) -> None:
    assert hardware_in(output) == number


# --- on devices ------------------------------------------------------------------------------------------------------


class SwitchedPipe(PassingPipe):
    """A port at which another device can be put."""

    def put(self, other: Pipe) -> None:
        """The device is pulled and ``other`` is there when the link is opened again."""
        gone, self.inner = self.inner, other
        self.closing = asyncio.ensure_future(gone.close())


def running(make: Maker, version: str, number: str | None = None) -> VirtualNrf5340:
    device = new_device(make, number=number)
    device.load_app(make.data(version=version, mark=1))
    device.reset()
    return device


@pytest.mark.parametrize(
    ("after", "by"),
    [
        (None, "running image"),
        ("upload app", "running image"),
        ("test app", "running image"),
        ("upload app", "chip"),
        ("test app", "chip"),
        ("confirm app", "chip"),
    ],
)
def test_another_device_at_the_port_is_not_written_to(make: Maker, tmp_path: Path, after: str | None, by: str) -> None:
    """It was updated instead, and the update ended well."""
    first, second = new_device(make), running(make, "1.1.0")
    if by == "chip":
        first, second = new_device(make, number="0123"), running(make, "1.0.0", "4567")
    before = second.app.read(0, 0x100000)
    port = SwitchedPipe(first.connect())

    async def update() -> None:
        async with client_of(first, pipe=port) as client:
            with Journal(tmp_path / "journal") as journal:
                job = Update(client, make.package(), journal, wish=UNASKED, deadlines=SHORT)
                decision = await job.look()
                if after is None:
                    port.put(second.connect())

                def exchange(event: Event) -> None:
                    if isinstance(event, StepDone) and event.step.name == after:
                        port.put(second.connect())

                await job.run(decision, exchange)

    with pytest.raises(StepError, match=r"is another one than before.*Nothing more was written") as caught:
        simulate(update())
    assert caught.value.resumable
    assert second.app.read(0, 0x100000) == before


def test_the_same_device_behind_a_link_that_was_lost_goes_on(make: Maker, tmp_path: Path) -> None:
    device = new_device(make, number="0123")
    run_update(device, make.package(), tmp_path / "journal", faults=Faults(cut_after_writes=40))
    assert version(device) == "2.0.0"


def test_the_same_chip_with_another_image_is_not_called_another_device(make: Maker) -> None:
    device = new_device(make, number="0123")

    async def check() -> None:
        async with client_of(device) as client:
            same = SameDevice(client)
            state = await same.learn(await read_state(client))
            device.load_app(make.data(version="1.1.0", mark=1))
            device.reset()
            await same.check(UPLOAD, state)

    with pytest.raises(StepError, match=r"^the device at .* has changed: it runs another image") as caught:
        simulate(check())
    assert caught.value.resumable
    assert "Connect the first device" not in str(caught.value)
