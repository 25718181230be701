"""UDP on real sockets of this computer."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator

import pytest

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link import udp
from smpdfu.link.udp import UdpPipe

HEADERS = {"127.0.0.1": 28, "::1": 48}


def far_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket of a device, bound."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((host, port))
    found.settimeout(10)
    return found


def has_ipv6() -> bool:
    try:
        far_socket("::1").close()
    except OSError:
        return False
    return True


@pytest.fixture(
    params=["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here"))]
)
def far(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with far_socket(request.param) as found:
        yield found


@pytest.fixture(autouse=True)
def _every_socket_is_closed() -> Iterator[None]:
    before = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
    yield
    if before:
        assert len(os.listdir("/dev/fd")) <= before


def pipe_to(far: socket.socket, mtu: int | None = None) -> UdpPipe:
    host, port = far.getsockname()[:2]
    return UdpPipe(host, port, mtu=mtu)


def free_port() -> int:
    with far_socket() as found:
        return int(found.getsockname()[1])


def test_datagrams_pass_whole_in_both_directions(far: socket.socket) -> None:
    async def talk() -> None:
        async with pipe_to(far) as pipe:
            assert not pipe.ordered
            longest = bytes(range(256)) * 6
            for data in (b"x", longest[: pipe.max_write]):
                await pipe.write(data)
                received, sender = far.recvfrom(4096)
                assert received == data
                far.sendto(received[::-1], sender)
                assert await pipe.read() == data[::-1]

    asyncio.run(talk())


def test_messages_are_as_long_as_an_ethernet_packet_carries(far: socket.socket) -> None:
    """The loopback would take 64 KiB; a device behind a real network does not."""
    headers = HEADERS[far.getsockname()[0]]

    async def talk() -> None:
        for mtu, longest in ((None, 1500), (1280, 1280), (9000, 9000)):
            async with pipe_to(far, mtu) as pipe:
                assert pipe.max_write == longest - headers
                with pytest.raises(ValueError, match="in one write"):
                    await pipe.write(bytes(pipe.max_write + 1))

    asyncio.run(talk())


def test_an_mtu_that_is_none_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="128 to 65535 bytes, not 100"):
        UdpPipe("localhost", mtu=100)


def test_datagrams_of_others_are_not_read(far: socket.socket) -> None:
    async def talk() -> None:
        async with pipe_to(far) as pipe:
            await pipe.write(b"hello")
            sender = far.recvfrom(4096)[1]
            with far_socket(far.getsockname()[0]) as stranger:
                stranger.sendto(b"stranger", sender)
            far.sendto(b"friend", sender)
            assert await pipe.read() == b"friend"

    asyncio.run(talk())


def test_closing_ends_a_waiting_read_and_it_opens_again(far: socket.socket) -> None:
    async def talk() -> None:
        pipe = pipe_to(far)
        await pipe.open()
        reading = asyncio.ensure_future(pipe.read())
        await asyncio.sleep(0)
        await pipe.close()
        with pytest.raises(LinkLostError, match="was closed"):
            await reading
        for step in (pipe.read(), pipe.write(b"x")):
            with pytest.raises(LinkLostError, match="is not open"):
                await step
        async with pipe:
            await pipe.write(b"again")
            assert far.recv(10) == b"again"

    asyncio.run(talk())


def test_what_nobody_reads_is_lost_and_needs_no_memory(far: socket.socket) -> None:
    async def talk() -> None:
        async with pipe_to(far) as pipe:
            await pipe.write(b"hello")
            sender = far.recvfrom(4096)[1]
            for _ in range(40):
                for _ in range(20):
                    far.sendto(bytes(1000), sender)
                for _ in range(30):
                    await asyncio.sleep(0)
            assert pipe._endpoint is not None
            assert 0 < pipe._endpoint.inbox.waiting <= udp._UNREAD_MAX

    asyncio.run(talk())


# --- errors -------------------------------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_ends_the_link_at_once() -> None:
    port = free_port()

    async def talk() -> None:
        async with UdpPipe("127.0.0.1", port) as pipe:
            reading = asyncio.ensure_future(pipe.read())
            await pipe.write(b"hello")
            with pytest.raises(LinkLostError, match=f"^no program listens at UDP port {port} of 127.0.0.1$"):
                await reading
            with pytest.raises(LinkLostError, match="no program listens"):
                await pipe.write(b"hello")

    asyncio.run(talk())


def test_a_port_that_refused_is_asked_before_it_counts_as_open_again() -> None:
    port = free_port()

    async def talk() -> None:
        pipe = UdpPipe("127.0.0.1", port)
        await pipe.open()
        await pipe.write(b"hello")
        with pytest.raises(LinkLostError):
            await pipe.read()
        for _ in range(2):
            with pytest.raises(ConnectError, match="no program listens at UDP port"):
                await pipe.open()
        with far_socket(port=port) as far:
            await pipe.open()
            await pipe.write(b"back")
            assert [far.recv(10), far.recv(10)] == [b"", b"back"]
            await pipe.open()  # and is not asked any more
            await pipe.write(b"again")
            assert far.recv(10) == b"again"
            await pipe.close()

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("no.such.host.invalid", "does not know the name|no name server"),
        ("a" * 70, "cannot be a host name"),
        ("fe80::1", "A link-local address needs its interface, as in fe80::1%eth0|has no route|cannot be reached"),
        ("255.255.255.255", "broadcast address"),
    ],
)
def test_hosts_that_cannot_be_reached(host: str, sentence: str) -> None:
    with pytest.raises(ConnectError, match=sentence) as refused:
        asyncio.run(UdpPipe(host).open())
    assert refused.value.address == UdpPipe(host).name


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "x"), "no name server answers here, so dk cannot be found"),
        (OSError(errno.EHOSTUNREACH, "x"), "dk cannot be reached: no answer on its network"),
        (OSError(errno.ENETUNREACH, "x"), "this computer has no route to dk"),
        (OSError(errno.EMFILE, "Too many open files"), "cannot open dk:1337: Too many open files"),
    ],
)
def test_the_systems_errors_in_words(error: OSError, sentence: str) -> None:
    assert str(UdpPipe("dk")._cannot_open(error)) == sentence


def test_a_path_that_became_narrow_is_used_with_shorter_messages(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMSGSIZE stands in for a router: the link is lost, and opens again with what the path takes."""
    headers = HEADERS[far.getsockname()[0]]
    told = 1500
    monkeypatch.setattr(udp, "_path_mtu", lambda opened: told)

    async def talk() -> None:
        nonlocal told
        async with pipe_to(far) as pipe:
            assert pipe._endpoint is not None
            told = 1400
            pipe._endpoint.error_received(OSError(errno.EMSGSIZE, "Message too long"))
            with pytest.raises(LinkLostError, match="messages of that length do not fit"):
                await pipe.write(b"x")
            for expected in (1400, 1280, 576, 128, 128):  # then without the system's help
                await pipe.open()
                assert pipe.max_write == expected - headers
                pipe._endpoint.error_received(OSError(errno.EMSGSIZE, "Message too long"))

    asyncio.run(talk())


def test_a_full_queue_of_the_system_costs_one_datagram(far: socket.socket) -> None:
    async def talk() -> None:
        async with pipe_to(far) as pipe:
            assert pipe._endpoint is not None
            pipe._endpoint.error_received(OSError(errno.ENOBUFS, "No buffer space available"))
            await pipe.write(b"next")
            assert far.recv(10) == b"next"

    asyncio.run(talk())


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="how Linux tells")
def test_packets_are_sent_whole_or_not_at_all(far: socket.socket) -> None:
    async def talk() -> None:
        async with pipe_to(far) as pipe:
            assert pipe._endpoint is not None
            opened = pipe._endpoint.socket
            level, discover, _ = udp._PATH_OPTIONS[opened.family]
            assert opened.getsockopt(level, discover) == udp._FORBID_FRAGMENTS

    asyncio.run(talk())
