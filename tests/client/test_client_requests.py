"""Requests: answers, silence, late and double answers, versions, sizes, console text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client, Trace
from smpdfu.errors import (
    ConnectError,
    DeviceError,
    LinkLostError,
    LocalProtocolError,
    RemoteProtocolError,
    ResponseTimeoutError,
)
from smpdfu.link.memory import Faults
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.os import Echo, EchoReply, Info, InfoReply, Params, ParamsReply
from smpdfu.smp.message import MgmtRc, Refusal, split_message
from tests.pipes import PassingPipe
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import DATA, LONG_S, SHORT_S, FakeDevice, until, with_client
else:
    from fake_device import DATA, LONG_S, SHORT_S, FakeDevice, until, with_client


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [ConsoleFraming, RawFraming, DatagramFraming, GattFraming])
def test_request_over_every_framing(framing: type[Framing]) -> None:
    device = FakeDevice(framing=framing)
    assert with_client(device.client(), lambda client: client.request(Echo("hello"))) == EchoReply("hello")
    assert len(device.heard) == 1


def test_a_refusal_is_an_error_and_final() -> None:
    device = FakeDevice()
    with pytest.raises(DeviceError, match="the device refused os info: ENOTSUP"):
        with_client(device.client(), lambda client: client.request(Info()))
    assert len(device.heard) == 1


@pytest.mark.parametrize("framing", [ConsoleFraming, RawFraming])
def test_silence_is_asked_again_with_the_same_number(framing: type[Framing]) -> None:
    device = FakeDevice(framing=framing, drop=2)
    client = device.client(timeout_s=SHORT_S, attempts=50)
    assert with_client(client, lambda client: client.request(Echo("hello"))) == EchoReply("hello")
    assert len(device.heard) >= 3
    assert len({split_message(message).header.sequence for message in device.heard}) == 1
    # The first one, too: whoever had the link before may have left half a line.
    assert bytes(device.wire).count(b"\x06\x09\n") == (len(device.heard) if framing is ConsoleFraming else 0)


def test_silence_for_good() -> None:
    device = FakeDevice(drop=1000)
    with pytest.raises(ResponseTimeoutError, match=r"did not answer os echo within 0\.05 s in 3 attempts") as caught:
        with_client(device.client(timeout_s=SHORT_S, attempts=3), lambda client: client.request(Echo("x")))
    assert (caught.value.attempts, len(device.heard)) == (3, 3)


def test_patience_of_one_request() -> None:
    device = FakeDevice(drop=1000)
    with pytest.raises(ResponseTimeoutError, match="os echo"):
        with_client(device.client(), lambda client: client.request(Echo("x"), timeout_s=SHORT_S, attempts=1))
    assert len(device.heard) == 1


class Late(FakeDevice):
    """Answers the first request only when the second one comes."""

    def replies(self, message: bytes) -> list[bytes]:
        self.kept = [*getattr(self, "kept", []), *super().replies(message)]
        return self.kept if len(self.kept) > 1 else []


def test_a_late_answer_is_not_taken_for_another() -> None:
    async def act(client: Client) -> EchoReply:
        with pytest.raises(ResponseTimeoutError):
            await client.request(Echo("first"), timeout_s=SHORT_S, attempts=1)
        return await client.request(Echo("second"))

    client = Late().client()
    assert with_client(client, act) == EchoReply("second")
    assert client.strays == 1


def test_every_answer_twice() -> None:
    device = FakeDevice()
    client = device.client(Faults(duplication=1.0))

    async def act(client: Client) -> list[str]:
        return [(await client.request(Echo(str(number)))).r for number in range(20)]

    assert with_client(client, act) == [str(number) for number in range(20)]
    assert client.strays > 0


def test_unreadable_answers() -> None:
    bodies = [b"\x80", b"\xa1", EchoReply("x").to_body()]
    device = FakeDevice({Echo: lambda request: bodies.pop(0)})
    assert with_client(device.client(), lambda client: client.request(Echo("x"))) == EchoReply("x")
    device = FakeDevice({Echo: lambda request: b"\x80"})
    with pytest.raises(RemoteProtocolError, match="an array, not a map"):
        with_client(device.client(), lambda client: client.request(Echo("x")))
    assert len(device.heard) == 4


def test_requests_at_the_same_time() -> None:
    async def act(client: Client) -> list[EchoReply]:
        return await asyncio.gather(*(client.request(Echo(str(number))) for number in range(100)))

    assert with_client(FakeDevice().client(), act) == [EchoReply(str(number)) for number in range(100)]


def test_a_cancelled_request_leaves_the_client_usable() -> None:
    device = FakeDevice(drop=1)

    async def act(client: Client) -> EchoReply:
        task = asyncio.create_task(client.request(Echo("first")))
        await until(lambda: bool(device.heard))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return await client.request(Echo("second"))

    assert with_client(device.client(), act) == EchoReply("second")


def test_the_client_can_be_opened_again() -> None:
    async def main() -> None:
        client = FakeDevice().client()
        for _ in range(2):
            async with client:
                assert (await client.request(Echo("x"))).r == "x"
        with pytest.raises(LinkLostError):
            await client.request(Echo("x"))

    simulate(main())


def test_a_client_opens_and_closes_without_a_block() -> None:
    async def main() -> None:
        device = FakeDevice()
        client = device.client()
        await client.close()  # never opened: no harm
        for _ in range(2):
            await client.open()
            await client.open()  # begins anew
            assert (await client.request(Echo("x"))).r == "x"
            await client.close()
            await client.close()
            with pytest.raises(LinkLostError):
                await client.request(Echo("x"))
        assert len(asyncio.all_tasks()) == 1, "nobody listens any more"

    simulate(main())


def test_closing_ends_the_requests_that_wait() -> None:
    async def main() -> None:
        device = FakeDevice(drop=1)
        client = device.client(timeout_s=LONG_S, attempts=1)
        await client.open()
        waiting = asyncio.create_task(client.request(Echo("waits")))
        await until(lambda: bool(device.heard))
        await client.close()
        with pytest.raises(LinkLostError, match="closed"):
            await waiting

    simulate(main())


def test_a_link_that_breaks_is_told_to_whoever_waits() -> None:
    device = FakeDevice(drop=1)
    client = device.client(Faults(cut_after_writes=2))  # what makes the device listen, and the first request

    async def act(client: Client) -> None:
        waiting = asyncio.create_task(client.request(Echo("waits")))
        await until(lambda: bool(device.heard))
        for text in ("cuts", "comes too late"):
            with pytest.raises(LinkLostError):
                await client.request(Echo(text))
        with pytest.raises(LinkLostError):
            await waiting

    with_client(client, act)


@pytest.mark.parametrize("settings", [{"timeout_s": 0}, {"timeout_s": -1}, {"attempts": 0}], ids=str)
def test_a_client_that_cannot_succeed(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot succeed"):
        Client(FakeDevice().pipe(), ConsoleFraming(), **settings)


# --- versions --------------------------------------------------------------------------------------------------------


class Old(FakeDevice):
    """Knows SMP version 1; ``refuses`` version 2, or does not answer it."""

    refuses = True

    def handle(self, message: bytes) -> bytes | None:
        header = split_message(message).header
        if header.version == 0:
            return super().handle(message)
        return header.reply(Refusal(MgmtRc.UNSUPPORTED_TOO_NEW).to_body()) if self.refuses else None


@pytest.mark.parametrize("refuses", [True, False])
def test_falls_back_to_version_1_and_stays_there(refuses: bool) -> None:
    device = Old()
    device.refuses = refuses
    client = device.client(timeout_s=LONG_S if refuses else SHORT_S, attempts=40)

    async def act(client: Client) -> list[str]:
        return [(await client.request(Echo(text))).r for text in "abc"]

    assert with_client(client, act) == ["a", "b", "c"]
    assert len(device.requests(Echo)) >= 3


def test_silence_is_asked_in_either_version() -> None:
    device = FakeDevice(drop=1000)
    with pytest.raises(ResponseTimeoutError):
        with_client(device.client(timeout_s=SHORT_S), lambda client: client.request(Echo("x")))
    assert [split_message(message).header.version for message in device.heard] == [1, 1, 0, 0]


# --- params ----------------------------------------------------------------------------------------------------------


def test_params_are_asked_once() -> None:
    device = FakeDevice()

    async def act(client: Client) -> ParamsReply | None:
        await client.params()
        return await client.params()

    assert with_client(device.client(), act) == ParamsReply(384, 4)
    assert len(device.heard) == 1


def test_a_device_without_params() -> None:
    device = FakeDevice({Params: lambda request: Refusal(MgmtRc.ENOTSUP)})
    assert with_client(device.client(), Client.params) is None
    result = with_client(device.client(), lambda client: client.upload(DATA))
    assert device.stored == DATA
    assert result.verified
    assert max(map(len, device.heard)) <= 252


def test_what_the_device_cannot_take_is_not_sent() -> None:
    device = FakeDevice()

    async def act(client: Client) -> None:
        await client.params()
        longest = 380 - len(Echo("x" * 300).to_bytes(0)) + 300
        await client.request(Echo("x" * longest))
        with pytest.raises(LocalProtocolError, match=r"a message of 4\d\d bytes, the device takes 380"):
            await client.request(Echo("x" * 400))

    with_client(device.client(), act)
    assert len(device.heard) == 2


def test_a_device_with_buffers_too_short_for_an_upload() -> None:
    device = FakeDevice({Params: lambda request: ParamsReply(60, 1)})
    with pytest.raises(LocalProtocolError, match="cannot begin"):
        with_client(device.client(), lambda client: client.upload(DATA))


@pytest.mark.parametrize("framing", [ConsoleFraming, RawFraming, DatagramFraming, GattFraming])
@pytest.mark.parametrize("buf_size", [0, 3, 8])
def test_a_device_whose_buffers_hold_no_message_does_not_speak_smp(framing: type[Framing], buf_size: int) -> None:
    device = FakeDevice({Params: lambda request: ParamsReply(buf_size, 1)}, framing)
    asking: list[Callable[[Client], Awaitable[object]]] = [
        lambda client: client.upload(DATA),
        Client.params,
        lambda client: client.wait_for_device(SHORT_S),
    ]
    for ask in asking:
        with pytest.raises(RemoteProtocolError, match=f"buffers of {buf_size} bytes: too short for a message"):
            with_client(device.client(), ask)


class Writes(PassingPipe):
    """Notes what each write to the pipe behind it has."""

    def __init__(self, inner: Pipe) -> None:
        super().__init__(inner)
        self.seen: list[bytes] = []

    async def _write(self, data: bytes) -> None:
        self.seen.append(data)
        await super()._write(data)


def test_every_write_to_a_console_begins_as_a_frame_does_and_has_one_at_most() -> None:
    """Zephyr's shell takes what one read gave for its own if it begins with anything else."""
    device = FakeDevice(drop=1)
    pipe = Writes(device.pipe())
    client = Client(pipe, ConsoleFraming(), timeout_s=SHORT_S, attempts=50)
    with_client(client, lambda client: client.request(Echo("hello")))
    assert len(pipe.seen) == 2 * len(device.heard) >= 4
    assert all(write.startswith(b"\x06\x09") and write.count(b"\x06\x09") == 1 for write in pipe.seen)


# --- the console -----------------------------------------------------------------------------------------------------


def test_console_text_is_passed_on() -> None:
    device, texts = FakeDevice(text=b"I: hello\r\n"), list[str]()

    async def act(client: Client) -> None:
        await client.request(Info(), attempts=1)

    client = device.client()
    client.console = texts.append
    assert client.console is not None
    device.answers[Info] = lambda request: InfoReply("Zephyr")
    with_client(client, act)
    assert texts == ["I: hello\n"]


def test_console_text_that_nobody_wants() -> None:
    client = FakeDevice(text=b"I: hello\n").client()
    assert with_client(client, lambda client: client.request(Echo("x"))) == EchoReply("x")


def test_a_mistake_in_the_console_function_is_not_swallowed() -> None:
    def broken(text: str) -> None:
        raise ZeroDivisionError(text)

    client = FakeDevice(text=b"x\n").client()
    client.console = broken
    with pytest.raises(ZeroDivisionError):
        with_client(client, lambda client: client.request(Echo("x")))


def test_a_link_that_does_not_open() -> None:
    device = FakeDevice()
    client = device.client(Faults(cut_after_writes=0, reconnect=False))
    with pytest.raises(LinkLostError):
        with_client(client, lambda client: client.request(Echo("x")))
    with pytest.raises(ConnectError, match="cannot open"):
        with_client(client, lambda client: client.request(Echo("x")))
    assert device.heard == []


# --- who looks on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("link",), ("sent",), ("received",), ("received", "link")], ids="+".join)
def test_an_onlooker_that_fails_ends_the_link_at_once_and_the_port_is_given_back(kinds: tuple[str, ...]) -> None:
    """Not by a time-out, and not with the port still taken."""
    device, closed = FakeDevice(), 0
    client = device.client(timeout_s=LONG_S)
    pipe = client._exchange.pipe
    close = pipe._close

    async def count() -> None:
        nonlocal closed
        closed += 1
        await close()

    def fail(trace: Trace) -> None:
        if trace.kind in kinds:
            raise OSError(28, "No space left on device")

    pipe._close = count  # type: ignore[method-assign]  # to see it
    client.trace = fail
    with pytest.raises(OSError, match="No space left"):
        with_client(client, lambda client: client.request(Echo("x")))
    assert closed == 2  # before it was opened, and in the end
