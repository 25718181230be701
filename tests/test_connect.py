"""Addresses: what is one, what is none, and which pipe it leads to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu import connect
from smpdfu.connect import Address, client_for, host_and_port, nearby, parse_address, place_of, places_by_lookup
from smpdfu.errors import ConnectError
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, RawFraming


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("serial:/dev/ttyACM0", Address("serial", "/dev/ttyACM0")),
        ("serial:/dev/ttyACM0?baudrate=1000000", Address("serial", "/dev/ttyACM0", {"baudrate": "1000000"})),
        (
            "serial:/dev/a?baudrate=9600&framing=raw&pace=500",
            Address("serial", "/dev/a", {"baudrate": "9600", "framing": "raw", "pace": "500"}),
        ),
        ("udp:10.0.0.1:1337?mtu=1280", Address("udp", "10.0.0.1:1337", {"mtu": "1280"})),
        ("serial:COM3", Address("serial", "COM3")),
        ("serial:/dev/serial/by-id/usb-a b:c", Address("serial", "/dev/serial/by-id/usb-a b:c")),
        ("virtual:desk", Address("virtual", "desk")),
        ("ble:*", Address("ble", "*")),
        ("ble:DK?hci=tcp-client:[::1]:9&pair=yes", Address("ble", "DK", {"hci": "tcp-client:[::1]:9", "pair": "yes"})),
        ("ble:C0:11:22:33:44:55", Address("ble", "C0:11:22:33:44:55")),
        ("udp:10.0.0.1", Address("udp", "10.0.0.1")),
        ("udp:[fe80::1%eth0]:1338", Address("udp", "[fe80::1%eth0]:1338")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dev=/dev/ttyACM0,baud=115200", "serial:/dev/ttyACM0?baudrate=115200"),
        ("dev=/dev/ttyACM0", "serial:/dev/ttyACM0"),
        ("dev=COM3,baud=1000000,mtu=512", "serial:COM3?baudrate=1000000"),
        ("peer_name=DK", "ble:DK"),
        ("ctlr_name=hci0,peer_name='my DK'", "ble:my DK?adapter=hci0"),
        ("peer_id=C0:11:22:33:44:55", "ble:C0:11:22:33:44:55"),
    ],
)
def test_connection_strings_of_mcumgr(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text", ["dev=/dev/a,speed=1", "baud=9600", "dev=/dev/a,dev=/dev/b", "dev=/dev/a,peer_name=DK", "dev=/dev/a,"]
)
def test_connection_strings_that_mean_nothing(text: str) -> None:
    with pytest.raises(ConnectError, match="write serial:/dev/ttyACM0"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("udp:dk.local", "dk.local", 1337),
        ("udp:10.0.0.1:1", "10.0.0.1", 1),
        ("udp:[::1]", "::1", 1337),
        ("udp:[::1]:65535", "::1", 65535),
    ],
)
def test_hosts_and_ports(text: str, host: str, port: int) -> None:
    assert host_and_port(parse_address(text)) == (host, port)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not an address. It must start with ble:, serial:, udp:, virtual:"),
        ("serial", "is not an address"),
        ("usb:1", "is not an address"),
        ("serial:", "does not name a device. Write serial:/dev/ttyACM0"),
        ("serial:?baudrate=9600", "does not name a device"),
        ("virtual: desk", "does not name a device"),
        ("serial:/dev/a?flow=xonxoff", "flow 'xonxoff' is wrong. It must be none or rtscts"),
        ("serial:/dev/a?speed=1", "unknown option 'speed'. Options of serial: baudrate, flow, framing, pace"),
        ("serial:/dev/a?framing=slip", "framing 'slip' is wrong. It must be console or raw"),
        ("serial:/dev/a?pace=9", "pace '9' is not a number of bytes per second, at least 10"),
        ("udp:dk?mtu=100", "mtu '100' is not the length of an IP packet, 128 to 65535 bytes"),
        ("udp:dk?mtu=", "mtu '' is not the length"),
        ("serial:/dev/a?baudrate=fast", "baudrate 'fast' is not a number"),
        ("serial:/dev/a?baudrate=0", "baudrate '0' is not a number"),
        ("serial:/dev/a?baudrate=", "baudrate '' is not a number"),
        ("serial:/dev/a?baudrate=-9600", "baudrate '-9600' is not a number"),
        ("udp::1337", "does not name a host"),
        ("udp:::1", "does not name a host"),
        ("udp:fe80::1", "does not name a host"),
        ("udp:host:0", "'0' is not a UDP port"),
        ("udp:host:65536", "'65536' is not a UDP port"),
        ("udp:host:smp", "'smp' is not a UDP port"),
    ],
)
def test_what_is_no_address_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ConnectError) as caught:
        parse_address(text)
    assert words in str(caught.value)
    assert caught.value.address in (text, str(caught.value.address))


@given(st.text(max_size=40) | st.builds("{}:{}".format, st.sampled_from([*connect.WIRES]), st.text(max_size=30)))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    try:
        address = parse_address(text)
    except ConnectError as error:
        assert str(error)  # noqa: PT017 - most texts are none
    else:
        assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("spellings", "place"),
    [
        (("udp:H", "udp:h:1337", "udp:H.:1337?mtu=1280"), "udp:h:1337"),
        (("udp:10.0.0.7", "udp:10.0.0.7:1337", "udp:[::ffff:10.0.0.7]"), "udp:10.0.0.7:1337"),
        (("udp:[FE80:0:0::1%eth0]", "udp:[fe80::1%eth0]:1337"), "udp:[fe80::1%eth0]:1337"),
        (("udp:localhost", "udp:127.0.0.1", "udp:LOCALHOST:1337"), "udp:127.0.0.1:1337"),
        (("udp:10.0.0.7:1338",), "udp:10.0.0.7:1338"),
        (("ble:c0:11:22:33:44:5f", "ble:C0-11-22-33-44-5F?adapter=hci1"), "ble:C0:11:22:33:44:5F"),
        (("ble:DK", "ble:DK?hci=usb:0&pair=yes"), "ble:DK"),
        (("virtual:desk",), "virtual:desk"),
    ],
)
def test_every_spelling_is_one_place(spellings: tuple[str, ...], place: str) -> None:
    assert {place_of(one) for one in spellings} == {place}
    assert place_of(place) == place


def test_a_port_has_the_name_that_stays_with_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_SERIAL_NAMES", tmp_path / "by-id")
    port, link = tmp_path / "ttyACM0", tmp_path / "board"
    port.touch()
    link.symlink_to("ttyACM0")
    spellings = [f"serial:{port}", f"serial:{link}", f"serial:{link}?baudrate=9600", f"serial:{tmp_path}/./board"]
    assert {place_of(one) for one in spellings} == {f"serial:{port}"}
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-SEGGER_J-Link_1").symlink_to("../ttyACM0")
    stays = f"serial:{tmp_path}/by-id/usb-SEGGER_J-Link_1"
    assert {place_of(one) for one in [*spellings, stays]} == {stays}
    port.unlink()
    (tmp_path / "by-id" / "usb-SEGGER_J-Link_1").unlink()
    assert place_of(stays) == stays, "a device that is away keeps its place"


def test_windows_ports_have_one_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert place_of("serial:com3") == place_of(r"serial:\\.\COM3") == "serial:COM3"


def test_host_names_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> list[tuple[str, ...]]:
        loop = asyncio.get_running_loop()

        async def found(host: str, port: int, **_: object) -> list[object]:
            if host != "roof":
                raise OSError
            return [(0, 0, 0, "", ("10.0.0.7", port)), (0, 0, 0, "", ("10.0.0.8", port))]

        monkeypatch.setattr(loop, "getaddrinfo", found)
        texts = ("udp:roof", "udp:10.0.0.7", "udp:[::1]:9", "udp:nobody", "virtual:roof")
        return [await places_by_lookup(text) for text in texts]

    assert asyncio.run(ask()) == [
        ("udp:10.0.0.7:1337", "udp:10.0.0.8:1337"),
        ("udp:10.0.0.7:1337",),
        ("udp:[::1]:9",),
        ("udp:nobody:1337",),
        ("virtual:roof",),
    ]


def test_no_ble_target_means_the_only_device_in_reach() -> None:
    assert parse_address("ble:") == parse_address("ble:?") == Address("ble", "*")


def test_a_client_has_the_name_of_its_device() -> None:
    assert client_for("serial:/dev/ttyACM9?baudrate=9600", timeout_s=1.5).name == "/dev/ttyACM9"
    assert client_for("udp:[::1]").name == "[::1]:1337"
    client = client_for(Address("virtual", "desk"), timeout_s=1.5, window_max=3)
    assert (client.name, client.timeout_s, client.window_max) == ("virtual:desk", 1.5, 3)


@pytest.mark.parametrize(
    ("text", "framing"),
    [
        ("serial:/dev/x", ConsoleFraming),
        ("serial:/dev/x?framing=console", ConsoleFraming),
        ("serial:/dev/x?framing=raw", RawFraming),
        ("udp:dk", DatagramFraming),
        ("virtual:desk", ConsoleFraming),
    ],
)
def test_each_wire_has_its_framing(text: str, framing: type[Framing]) -> None:
    address = parse_address(text)
    assert type(connect.WIRES[address.kind].open(address)[1]) is framing


def test_what_is_nearby_are_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    from smpdfu.link.serial import pipe as serial_pipe
    from smpdfu.virtual.store import devices as store_devices

    ports = (
        serial_pipe.PortInfo("/dev/ttyACM0", "J-Link", "1050", "1366:1051"),
        serial_pipe.PortInfo("/dev/ttyS0", ""),
    )
    monkeypatch.setattr(serial_pipe, "list_serial_ports", lambda: ports)
    store_devices.create("desk", store_devices.Recipe("nrf5340dk-staged"))
    assert nearby() == ("serial:/dev/ttyACM0", "virtual:desk")
    for text in nearby():
        assert str(parse_address(text)) == text


def test_wires_are_imported_when_they_are_asked_for() -> None:
    """A serial address needs no cryptography, and parsing one nothing at all."""
    script = """
import sys
from smpdfu.connect import client_for, parse_address
parse_address("virtual:x")
assert not {"smpdfu.client", "smpdfu.link", "smpdfu.virtual"} & set(sys.modules)
client_for("serial:/dev/x")
print(*sorted(name for name in sys.modules if name.startswith(("smpdfu.virtual", "cryptography", "bleak", "typer"))))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


ROOT = connect.__file__.rpartition("smpdfu")[0]
