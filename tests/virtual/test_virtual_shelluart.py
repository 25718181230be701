"""The UART of Zephyr's shell: what one read gives is judged by its beginning."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.link.memory import served_pipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.chip.rtc import Rtc
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.groups.shell import ShellGroup, commands_of
from smpdfu.virtual.server.shell_uart import PROMPT, DeviceShellFraming, Shell

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.virtual.virtual_bench import SMALL, Bench
else:
    from virtual_bench import SMALL, Bench

MESSAGE = Echo("x" * 300).to_bytes(7)
FRAME = ConsoleFraming().encode(MESSAGE)
assert FRAME.count(b"\n") > 3
"""Of several lines."""


def reads(*pieces: bytes) -> tuple[list[bytes], str]:
    """The messages, and what the shell got, of a UART whose reads give these pieces."""
    framing, messages = DeviceShellFraming(), list[bytes]()
    for piece in pieces:
        messages += framing.feed(piece)
    return messages, framing.take_text()


def test_a_read_that_begins_with_a_frame_is_smp() -> None:
    assert reads(FRAME) == ([MESSAGE], "")
    assert reads(FRAME + FRAME) == ([MESSAGE, MESSAGE], "")


@pytest.mark.parametrize("before", [b"\n", b"\r", b"x", b"help\n", b"\x09"])
def test_a_read_that_begins_otherwise_is_the_shells_with_the_frame_in_it(before: bytes) -> None:
    assert reads(before + FRAME)[0] == []
    assert reads(before, FRAME) == ([MESSAGE], before.decode())


def test_what_follows_a_frame_is_the_shells() -> None:
    messages, typed = reads(FRAME + b"help\n" + FRAME)
    assert messages == [MESSAGE]
    assert typed.startswith("help\n\x06\x09")


@pytest.mark.parametrize("size", [1, 2, 3, 64, 127, 128])
def test_a_line_goes_on_in_the_next_read(size: int) -> None:
    assert reads(*(FRAME[at : at + size] for at in range(0, len(FRAME), size))) == ([MESSAGE], "")


def test_what_the_client_sends_first_ends_half_a_line_and_is_taken_for_smp() -> None:
    resync = ConsoleFraming().resync()
    assert reads(FRAME[:50], resync + FRAME) == ([MESSAGE], "")
    assert reads(resync + FRAME) == ([MESSAGE], "")


def test_the_bootloader_has_no_shell() -> None:
    framing = DeviceShellFraming(lambda: False)
    assert framing.feed(b"\n" + FRAME) == [MESSAGE]


def test_the_shell_echoes_and_runs_lines() -> None:
    shell = Shell(ShellGroup(commands_of(Rtc(), "9.9")))
    assert shell.answer("kernel ver") == "kernel ver"
    assert shell.answer("sion\n") == f"sion\r\nZephyr version 9.9\r\n{PROMPT}"
    assert shell.answer("\n") == f"\r\n{PROMPT}"
    assert "nope: command not found" in shell.answer("nope\n")
    assert len(shell.answer("x" * 1000)) < 300
    assert shell.answer("\x06\x09\x00") == ""


def test_requests_and_a_person_share_the_uart() -> None:
    bench, texts = Bench(SMALL), list[str]()
    device = VirtualNrf5340(bench.layout, bench.keys)
    device.load_app(bench.app_image(1))
    device.reset()

    async def main() -> str:
        pipe = served_pipe(lambda pipe: device.serve(pipe, DeviceShellFraming()))
        async with Client(pipe, ConsoleFraming()) as client:
            client.console = texts.append
            assert (await client.request(Echo("one"))).r == "one"
            await pipe.write(b"kernel version\n")
            return (await client.request(Echo("two"))).r

    assert asyncio.run(main()) == "two"
    assert any("Zephyr version" in text for text in texts)
