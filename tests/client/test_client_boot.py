"""The console text of a boot: what counts as it, over good and bad links, and what an application cannot add to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.client.trace import Trace
from smpdfu.errors import DeviceError
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.loaders.boot_lines import MAX_TEXT
from smpdfu.loaders.console import read_boot
from smpdfu.smp.framing import DatagramFraming, Framing, RawFraming
from smpdfu.smp.groups import find_request
from smpdfu.smp.groups.os import Echo, Reset
from smpdfu.smp.message import MgmtRc, Refusal, split_message
from tests.simulated import simulate, turns

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import IMPATIENT, LONG_S, SHORT_S, FakeDevice, with_client
else:
    from fake_device import IMPATIENT, LONG_S, SHORT_S, FakeDevice, with_client

LIE = b"I: Starting bootloader\r\nI: Done updating network core\r\n"
BOOT = (
    b"*** Booting MCUboot v2.1.0-dev-12e5ee106034 ***\r\nI: Starting bootloader\r\nI: Starting network core update\r\n"
    b"I: Done updating network core\r\nI: Jumping to the first image slot\r\n"
)
BANNER = b"*** Booting Zephyr OS v4.4.0 ***\r\n"


@dataclass
class Talking(FakeDevice):
    """Prints ``before`` ahead of the answer to a reset, ``tail`` behind it, then ``boot``; and ``after`` behind others.

    ``hangs_up``: the link goes away when it has answered a reset, and what it prints then waits for the next one.
    """

    before: bytes = b""
    tail: bytes = b""
    boot: bytes = BOOT
    after: bytes = b""
    hangs_up: bool = False
    answers_reset: bool = True
    waiting: bytes = field(default=b"", init=False)
    pause_s: float = 0.0

    def client(self, faults: Faults = NO_FAULTS, *, timeout_s: float = LONG_S, attempts: int = 4) -> Client:
        pipe = served_pipe(self.serve, NO_FAULTS, to_host=faults, name="the fake")
        return Client(pipe, self.framing(), timeout_s=timeout_s, attempts=attempts, patience=IMPATIENT)

    async def serve(self, pipe: Pipe) -> None:
        framing = self.framing()
        said, self.waiting = self.waiting, b""
        if said:
            await pipe.write(said)
        while True:
            for message in framing.feed(await pipe.read()):
                header, _ = split_message(message)
                is_reset = find_request(header.op, header.group, header.command) is Reset
                answers = [framing.encode(answer) for answer in self.replies(message)]
                if not is_reset:
                    await pipe.write(b"".join(answers) + self.after)
                    continue
                await pipe.write(self.before + (b"".join(answers) if self.answers_reset else b"") + self.tail)
                if self.hangs_up:
                    self.waiting = self.boot
                    return
                for line in self.boot.splitlines(keepends=True):
                    await asyncio.sleep(self.pause_s)
                    await pipe.write(line)


async def restart(client: Client) -> str:
    await client.reset()
    await client.wait_for_device(LONG_S)
    return client.boot_text


async def restart_and_go_on(client: Client) -> str:
    """The text, looked at after the application had time to print."""
    await restart(client)
    for _ in range(3):
        assert (await client.request(Echo("x"))).r == "x"
    return client.boot_text


PIECES = [NO_FAULTS, Faults(split=1), Faults(split=7), Faults(split=300)]


@pytest.mark.parametrize("faults", PIECES, ids=lambda faults: f"split {faults.split}")
@pytest.mark.parametrize("glued", [b"", b"no newline at the end of this"], ids=["lines", "glued"])
def test_the_text_between_a_reset_and_the_first_answer(faults: Faults, glued: bytes) -> None:
    device = Talking(before=LIE, tail=glued, boot=BOOT + BANNER + glued, after=LIE + b"I: Done updating network core")
    text = with_client(device.client(faults), restart_and_go_on)
    assert text == (glued + BOOT + BANNER + glued).decode().replace("\r\n", "\n") + ("\n" if glued else "")
    assert read_boot(text).network_taken is True


@pytest.mark.parametrize("faults", PIECES, ids=lambda faults: f"split {faults.split}")
def test_the_same_words_before_and_after_do_not_count(faults: Faults) -> None:
    quiet = BOOT.replace(b"I: Starting network core update\r\nI: Done updating network core\r\n", b"")
    device = Talking(before=LIE, boot=quiet, after=LIE + BOOT)
    text = with_client(device.client(faults), restart_and_go_on)
    assert text == quiet.decode().replace("\r\n", "\n")
    assert read_boot(text).network_taken is None


def test_each_reset_begins_anew() -> None:
    async def act(client: Client) -> str:
        assert client.boot_text == ""
        await client.request(Echo("x"))
        assert client.boot_text == ""
        await restart(client)
        device.boot = b"I: Starting bootloader\n"
        return await restart(client)

    device = Talking(after=BOOT)
    assert with_client(device.client(), act) == "I: Starting bootloader\n"


def test_it_outlives_the_link() -> None:
    """As over USB CDC, where a device that restarts takes its port away; half a line is left of the one before."""
    device = Talking(tail=b"\x06\x09AAhalf a frame", hangs_up=True)
    text = with_client(device.client(), restart_and_go_on)
    assert text == BOOT.decode().replace("\r\n", "\n")


def test_where_the_answer_is_lost_everything_from_the_reset_on_counts() -> None:
    seen: list[Trace] = []

    async def act(client: Client) -> str:
        client.trace = seen.append
        assert await client.reset() is False
        client.timeout_s = LONG_S
        await client.wait_for_device(LONG_S)
        return client.boot_text

    device = Talking(before=b"I: application\n", answers_reset=False)
    text = with_client(device.client(timeout_s=SHORT_S), act)
    assert text == "I: application\n" + BOOT.decode().replace("\r\n", "\n")
    assert read_boot(text).network_taken is True
    assert any("was not acknowledged: 6 console lines count" in trace.text for trace in seen if trace.kind == "link")


def test_a_refused_reset_has_no_boot() -> None:
    async def act(client: Client) -> str:
        with pytest.raises(DeviceError):
            await client.reset()
        await client.request(Echo("x"))
        return client.boot_text

    device = Talking({Reset: lambda request: Refusal(MgmtRc.EBUSY)}, before=BOOT)
    assert with_client(device.client(), act) == ""


def test_an_answer_to_an_older_request_does_not_end_it() -> None:
    """Somebody still waits for an answer when the reset is asked for, and gets it while the device boots."""

    async def act(client: Client) -> str:
        late = asyncio.create_task(client.request(Echo("late"), attempts=1))
        await asyncio.sleep(0)
        text = await restart(client)
        late.cancel()
        return text

    class Slow(Talking):
        kept = b""

        def replies(self, message: bytes) -> list[bytes]:
            found = super().replies(message)
            if self.requests(Echo) and not self.requests(Reset):
                self.kept = self.framing().encode(found[0])
                self.boot = BOOT[:60] + b"\r\n" + self.kept + BOOT[60:]
                return []
            return found

    text = with_client(Slow().client(), act)
    assert read_boot(text).network_taken is True


@pytest.mark.parametrize("framing", [RawFraming, DatagramFraming])
def test_wires_without_a_console_have_none(framing: type[Framing]) -> None:
    device = Talking(framing=framing, boot=b"")
    assert with_client(device.client(), restart_and_go_on) == ""


def test_it_is_plain() -> None:
    device = Talking(boot=b"\x1b[0;32mI: Starting bootloader\x1b[0m\r\r\n\x00\x07I: Jumping\ton\r\n")
    assert with_client(device.client(), restart) == "I: Starting bootloader\nI: Jumping\ton\n"


@pytest.mark.parametrize("flood", ["before", "after"])
def test_it_is_bounded_and_keeps_the_bootloaders_lines(flood: str) -> None:
    noise = b"I: the application has much to say\r\n" * 6000
    device = Talking(boot=noise + BOOT if flood == "before" else BOOT + noise)
    text = with_client(device.client(), restart)
    assert MAX_TEXT - 200 < len(text) <= MAX_TEXT
    assert read_boot(text).network_taken is True


def test_what_counts_is_marked_for_those_who_look_on() -> None:
    seen: list[Trace] = []

    async def act(client: Client) -> str:
        client.trace = seen.append
        return await restart_and_go_on(client)

    text = with_client(Talking(before=LIE, after=LIE).client(), act)
    lines = [(trace.boot, trace.text) for trace in seen if trace.kind == "console"]
    assert "".join(said for marked, said in lines if marked).replace("\r", "") == text
    assert all(not marked for marked, said in lines if said.strip() not in BOOT.decode())
    assert any(not marked for marked, _ in lines)


def test_nothing_is_lost_while_the_client_waits_and_it_does_not_spin() -> None:
    """Half a minute of boot text, read in as many turns of the loop as there are lines, and a few for the requests."""
    device = Talking(boot=BOOT + b"I: slow\r\n" * 300, pause_s=0.1)

    async def act() -> tuple[str, int]:
        async with device.client() as client:
            await client.reset()
            await asyncio.sleep(29.0)  # nobody asks anything meanwhile
            await client.wait_for_device(LONG_S)
            return client.boot_text, turns()

    text, turned = simulate(act())
    assert text.count("I: slow\n") == 300
    assert read_boot(text).network_taken is True
    assert turned < 2500


def test_a_client_that_was_closed_hears_no_boot() -> None:
    async def act() -> str:
        client = device.client()
        async with client:
            await client.reset()
        device.waiting = BOOT
        async with client:
            await client.request(Echo("x"))
        return client.boot_text

    device = Talking(boot=b"I: Starting bootloader\r\n", hangs_up=True)
    assert "Done" not in simulate(act())
