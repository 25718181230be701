"""Peers that mean harm, or are broken: over every framing, memory is bounded, errors are named, uploads go on."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client, Patience
from smpdfu.errors import DeviceError, LinkError, RemoteProtocolError
from smpdfu.link.memory import served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.cbor import dumps
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.groups.os import Echo, EchoReply
from smpdfu.smp.message import Header, Op, split_message

if TYPE_CHECKING:
    from tests.client.fake_device import DATA, IMPATIENT, LONG_S, SHORT_S, FakeDevice, with_client
else:
    from fake_device import DATA, IMPATIENT, LONG_S, SHORT_S, FakeDevice, with_client

FRAMINGS: dict[str, Callable[[], Framing]] = {
    "console": ConsoleFraming,
    "raw": lambda: RawFraming(answers=True),
    "gatt": GattFraming,
    "datagram": DatagramFraming,
}
over_every_framing = pytest.mark.parametrize("make", FRAMINGS.values(), ids=list(FRAMINGS))
over_messages_of_their_own = pytest.mark.parametrize(
    "make", [FRAMINGS["console"], FRAMINGS["datagram"]], ids=["console", "datagram"]
)

BOMBS = {
    "depth": b"\x81" * 20_000,
    "depth of maps": b"\xa1\x61a" * 9_000,
    "endless array": b"\x9f" * 20_000,
    "length without bytes": b"\x5b" + b"\xff" * 8,
    "count without items": b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
    "pairs without items": b"\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
    "big number": b"\xa1\x63off\xc2\x59\x75\x30" + b"\xff" * 30_000,
    "same key for ever": b"\xbf" + b"\x61a\x00" * 10_000,
    "nothing": b"",
    "no map": b"\x80",
    "text": b"\x78\xff" + b"a" * 255,
}


@contextmanager
def bounded(most: int) -> Iterator[None]:
    """What is allocated inside, at its highest, less than ``most`` bytes."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak} bytes"


@dataclass
class Villain:
    """A device that sends ``before`` each answer what is no answer to it. ``spoil`` makes messages of answers."""

    make: Callable[[], Framing]
    before: Callable[[Header], list[bytes]] = lambda header: []
    noise: bytes = b""
    device: FakeDevice = field(default_factory=FakeDevice)

    async def serve(self, pipe: Pipe) -> None:
        framing = RawFraming() if type(self.make()) is RawFraming else self.make()
        while True:
            for message in framing.feed(await pipe.read()):
                header = split_message(message)[0]
                for extra in self.before(header):
                    await pipe.write(framing.encode(extra))
                if self.noise:
                    await pipe.write(self.noise)
                for answer in self.device.replies(message):
                    await pipe.write(framing.encode(answer))

    def client(self, timeout_s: float = LONG_S, attempts: int = 4) -> Client:
        if isinstance(self.make(), RawFraming):  # noise can hide an answer there: that costs a time-out
            timeout_s, attempts = min(timeout_s, 0.3), 8
        pipe = served_pipe(self.serve)
        pipe.ordered = not isinstance(self.make(), DatagramFraming)
        if isinstance(self.make(), DatagramFraming):
            pipe.max_write = 65_507
        return Client(pipe, self.make(), timeout_s=timeout_s, attempts=attempts, patience=IMPATIENT)

    def upload(self, timeout_s: float = LONG_S) -> Client:
        """Upload through all of it; the client, for what it counted."""
        client = self.client(timeout_s)
        result = with_client(client, lambda client: client.upload(DATA))
        assert self.device.stored == DATA
        assert result.verified
        return client


def answer_to(header: Header, **changes: Any) -> Header:
    """The header of the answer to ``header``, changed."""
    found = replace(header, op=Op(header.op + 1), length=len(OFF_0))
    return replace(found, **changes)


OFF_0 = dumps({"off": 0, "r": "no"})


def always(body: bytes) -> Callable[[Any], bytes]:
    """A device that answers everything with ``body``."""
    return lambda request: body


def raw_header(header: Header, first: int, body: bytes = OFF_0) -> bytes:
    """An answer whose first byte is ``first``, whatever that means."""
    return bytes([first]) + replace(header, op=Op.READ, length=len(body)).to_bytes()[1:] + body


STRANGERS: dict[str, Callable[[Header], list[bytes]]] = {
    "replies to nobody": lambda header: [
        answer_to(header, sequence=(header.sequence + step) % 256).to_bytes() + OFF_0 for step in range(20, 80)
    ],
    "another group": lambda header: [answer_to(header, group=77).to_bytes() + OFF_0],
    "another command": lambda header: [answer_to(header, command=99).to_bytes() + OFF_0],
    "another operation": lambda header: [answer_to(header, op=Op(header.op ^ 2 | 1)).to_bytes() + OFF_0],
    "its own request": lambda header: [replace(header, length=len(OFF_0)).to_bytes() + OFF_0],
    "SMP version 3 and 4": lambda header: [raw_header(header, version << 3 | header.op + 1) for version in (2, 3)],
    "reserved bits": lambda header: [raw_header(header, 0xE0 | 8 | header.op + 1)],
    "operations that are none": lambda header: [raw_header(header, 8 | op) for op in (4, 5, 6, 7)],
}


@pytest.mark.parametrize("before", STRANGERS.values(), ids=list(STRANGERS))
@over_every_framing
def test_what_answers_nothing_is_dropped_and_the_upload_goes_on(
    make: Callable[[], Framing], before: Callable[[Header], list[bytes]]
) -> None:
    if type(make()) is RawFraming and before is STRANGERS["reserved bits"]:
        pytest.skip("on a raw line it is noise that can hide a message, and costs a time-out")
    Villain(make, before).upload()


@over_every_framing
def test_noise_between_messages_is_borne(make: Callable[[], Framing]) -> None:
    Villain(make, noise=b"\xff\xfe\xfd*** Booting Zephyr OS build ***\r\n" * 3).upload()


@pytest.mark.parametrize("seed", range(3))
@over_messages_of_their_own
def test_any_bytes_between_messages_are_borne(make: Callable[[], Framing], seed: int) -> None:
    noise = random.Random(seed).randbytes(700).replace(b"\x06\x09", b"")
    Villain(make, noise=noise + b"\n").upload()


@over_every_framing
def test_half_a_message_of_any_length_costs_a_time_out_at_most(make: Callable[[], Framing]) -> None:
    """A length of 64 KiB, once, with nothing behind it: what comes next may be swallowed, and is asked for again."""
    villain = Villain(make)
    told = False

    def once(header: Header) -> list[bytes]:
        nonlocal told
        if told:
            return []
        told = True
        return [answer_to(header, length=0xFFFF).to_bytes() + OFF_0]

    villain.before = once
    villain.upload(0.3 if isinstance(make(), RawFraming) else LONG_S)
    assert told


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
@over_every_framing
def test_a_bomb_is_an_answer_that_cannot_be_read(make: Callable[[], Framing], bomb: bytes) -> None:
    villain = Villain(make)
    villain.device.answers[Echo] = lambda request: bomb
    if type(make()) is RawFraming and not bomb:
        pytest.skip("on a raw line a message without a body is none")
    client = villain.client(SHORT_S * 20, attempts=3)
    with bounded(8 << 20), pytest.raises(RemoteProtocolError):
        with_client(client, lambda client: client.request(Echo("x")))


@over_every_framing
def test_one_bomb_in_an_upload_is_asked_again(make: Callable[[], Framing]) -> None:
    villain, left = Villain(make), [bomb for bomb in BOMBS.values() if bomb]

    calm = 0

    def sometimes(request: ImageUpload) -> Any:
        nonlocal calm
        calm = (calm + 1) % 3
        return left.pop() if left and request.off and not calm else villain.device.upload(request)

    villain.device.answers[ImageUpload] = sometimes
    villain.upload()
    assert len(left) < len(BOMBS) - 3


OFFSETS = {"negative": -1, "very negative": -(2**64), "beyond 32 bits": 2**32, "huge": 2**64 - 1, "text": "12"}


@pytest.mark.parametrize("off", OFFSETS.values(), ids=list(OFFSETS))
@over_every_framing
def test_an_offset_that_is_none_is_asked_again(make: Callable[[], Framing], off: object) -> None:
    villain, lies = Villain(make), [dumps({"off": off})] * 4

    def sometimes(request: ImageUpload) -> Any:
        return lies.pop() if lies and request.off else villain.device.upload(request)

    villain.device.answers[ImageUpload] = sometimes
    villain.upload()
    assert not lies


@pytest.mark.parametrize("off", [-1, 2**64 - 1, len(DATA) + 1, 0xFFFFFFFF])
@over_every_framing
def test_an_offset_that_stays_wrong_ends_the_upload_in_words(make: Callable[[], Framing], off: int) -> None:
    villain = Villain(make)
    villain.device.answers[ImageUpload] = lambda request: dumps({"off": off})
    with pytest.raises(RemoteProtocolError, match=r"outside 0 to 4294967295|asks for byte"):
        with_client(villain.client(), lambda client: client.upload(DATA))


@over_every_framing
def test_an_offset_that_never_grows_ends_the_upload_in_words(make: Callable[[], Framing]) -> None:
    villain = Villain(make)
    villain.device.answers[ImageUpload] = lambda request: dumps({"off": 0})
    with pytest.raises(RemoteProtocolError, match="makes no progress: the device keeps asking for byte 0"):
        with_client(villain.client(), lambda client: client.upload(DATA))


@over_every_framing
def test_codes_that_no_server_has_are_read_or_refused(make: Callable[[], Framing]) -> None:
    villain = Villain(make)
    for body, error in (
        ({"rc": 2**32 - 1}, DeviceError),
        ({"rc": -1}, RemoteProtocolError),
        ({"rc": 2**40}, RemoteProtocolError),
        ({"err": {"group": 2**32 - 1, "rc": 3}}, DeviceError),
        ({"err": 7}, RemoteProtocolError),
        ({"rc": "9" * 20_000}, RemoteProtocolError),
        ({"rc": [["9" * 9_000] * 2] * 2}, RemoteProtocolError),
        ({"rc": 5, "rsn": "\x1b[2Jx" * 2000}, DeviceError),
    ):
        villain.device.answers[Echo] = always(dumps(body))
        with pytest.raises(error) as caught:
            with_client(villain.client(), lambda client: client.request(Echo("x")))
        assert len(str(caught.value)) < 700, "a person can read it"


# --- what never ends ------------------------------------------------------------------------------------------------


FLOODS: dict[str, bytes] = {
    "text": b"hello from the console, again and again\r\n" * 100,
    "text without a newline": b"a" * 4096,
    "frames that never end": b"\x06\x09AAAA\n" + b"\x04\x14AAAA\n" * 400,
    "first lines only": b"\x06\x09//8A\n" * 500,
    "zeros": bytes(4096),
    "answers to nobody": Header(Op.WRITE_RSP, 1, 0, 1, 9, 9, 9).to_bytes() + b"\xa0",
    "headers of 64 KiB": b"\x0b\x00\xff\xff" * 1000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=list(FLOODS))
@over_every_framing
def test_a_peer_that_never_stops_costs_little_memory_and_ends_in_words(
    make: Callable[[], Framing], flood: bytes
) -> None:
    """2 MiB, faster than anybody could print it; then silence, where the answer should be."""

    async def serve(pipe: Pipe) -> None:
        await pipe.read()
        for _ in range(max(1, min((2 << 20) // len(flood), 5_000))):
            await pipe.write(flood)
        await asyncio.sleep(LONG_S)

    patience = Patience(reconnect_s=0.1, quiet_s=0.0, pause_s=0.0)
    client = Client(served_pipe(serve), make(), timeout_s=0.3, attempts=1, patience=patience)
    lines = 0

    def listen(text: str) -> None:
        nonlocal lines
        lines += text.count("\n")

    client.console = listen
    with bounded(1 << 20), pytest.raises(LinkError):
        with_client(client, lambda client: client.request(Echo("x")))


@over_every_framing
def test_the_answer_behind_a_flood_is_found(make: Callable[[], Framing]) -> None:
    villain = Villain(make, noise=b"\xff" * 4000 + b"\r\n")
    villain.device.answers[Echo] = lambda request: EchoReply(request.d)
    assert with_client(villain.client(), lambda client: client.request(Echo("x"))).r == "x"
