"""The file of a fleet: what it says, and one sentence for everything that it may not say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from smpdfu.dfu.decide.device_state import Scheme
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.net_version import VersionRule, Way
from smpdfu.dfu.fleet.description.device_list import DEFAULT
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Limits, Treatment, Unproven
from smpdfu.errors import FleetFileError
from smpdfu.loaders.releases import Partitions

WHOLE = """
[fleet]
name = "roofs"
at_once = 3
soak_s = 60
stop_after_failures = 2
stop_at_rate = 0.1
devices = "devices.csv"
[update]
policy = "confirm-only"
scheme = "staged"
soak_s = 1.5
health = "true"
[packages]
default = "a.zip"
big = "b.zip"
unused = "c.zip"
[[wave]]
name = "canary"
devices = ["roof-1", "lab-*"]
soak_s = 5
[[wave]]
share = 0.25
[[wave]]
count = 1
[[device]]
address = "udp:10.0.0.9"
hardware = "big"
"""
CSV = """\ufeffname, address, hardware
roof-1,udp:10.0.0.1,
roof-2,udp:10.0.0.2,big
lab-1,udp:10.0.0.3,
x,udp:10.0.0.4
"""


def load(folder: Path, text: str, listed: str = CSV) -> Fleet:
    (folder / "devices.csv").write_text(listed, "utf-8")
    path = folder / "FLEET.toml"
    path.write_text(text, "utf-8")
    return Fleet.load(path)


def test_everything(tmp_path: Path) -> None:
    fleet = load(tmp_path, WHOLE)
    assert (fleet.name, fleet.limits) == ("roofs", Limits(3, 2, 0.1))
    assert fleet.treatment == Treatment(Policy.CONFIRM_ONLY, Scheme.STAGED, 1.5, "true")
    assert fleet.packages == {"default": tmp_path / "a.zip", "big": tmp_path / "b.zip"}
    assert list(fleet.devices.values())[1:2] == [FleetDevice("roof-2", "udp:10.0.0.2", "big")]
    assert fleet.devices["udp:10.0.0.9"].hardware == "big"
    assert [(wave.name, wave.devices, wave.soak_s) for wave in fleet.waves] == [
        ("canary", ("roof-1", "lab-1"), 5.0),
        ("wave 2", ("roof-2", "x"), 60.0),
        ("wave 3", ("udp:10.0.0.9",), 60.0),
    ]


def test_the_least(tmp_path: Path) -> None:
    fleet = load(tmp_path, '[packages]\ndefault = "a.zip"\n[[device]]\naddress = "virtual:a"\n')
    assert (fleet.name, fleet.limits, fleet.treatment) == ("FLEET", Limits(), Treatment())
    assert fleet.devices == {"virtual:a": FleetDevice("virtual:a", "virtual:a", DEFAULT)}
    assert [(wave.name, wave.devices) for wave in fleet.waves] == [("all", ("virtual:a",))]


LOADERS = """
[fleet]
unproven = "stop"
devices = "devices.csv"
[update]
ncs = "3.2"
net_version_from = "settings:net/version"
[packages]
default = "a.zip"
big = "b.zip"
[hardware.big]
partitions = "dts"
ncs = "3.4"
[[device]]
address = "udp:10.0.0.9"
hardware = "big"
net_address = 0x01002800
"""
LISTED = "name,address,hardware,ncs,net_address\na,udp:a,,,\nb,udp:b,big,,\nc,udp:c,,2.5,0x01008800\n"


def test_what_is_known_of_the_bootloaders(tmp_path: Path) -> None:
    """The nearer the better: the device, its hardware, all."""
    fleet = load(tmp_path, LOADERS, LISTED)
    assert fleet.limits.unproven is Unproven.STOP
    assert fleet.treatment.net_version_from == VersionRule(Way.SETTINGS, "net/version")
    assert {name: device.bootloader for name, device in fleet.devices.items()} == {
        "a": Bootloader("3.2"),
        "b": Bootloader("3.4", Partitions.DTS),
        "c": Bootloader("2.5", None, 0x0100_8800),
        "udp:10.0.0.9": Bootloader("3.4", Partitions.DTS, 0x0100_2800),
    }


ONE = '[packages]\ndefault = "a.zip"\n[[device]]\nname = "a"\naddress = "virtual:a"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[fleet", "not valid TOML"),
        ("[flet]\n", "unknown table 'flet'"),
        (ONE + "[fleet]\nat_one = 3\n", "unknown key 'at_one'"),
        (ONE + "[fleet]\nat_once = 0\n", "'at_once' in .fleet. of FLEET.toml must be a whole number of at least 1"),
        (ONE + "[fleet]\nat_once = true\n", "'at_once'"),
        (ONE + "[fleet]\nstop_at_rate = 2\n", "from 0 to 1"),
        (ONE + "[fleet]\nname = 3\n", "must be a text"),
        (ONE + '[fleet]\ndevices = "a\\u0000b"\n', "'devices' in .fleet. of FLEET.toml must be a text"),
        (ONE + '[update]\ntrust = ["a\\u0000b"]\n', "'trust' in .update. of FLEET.toml must be a list of texts"),
        ("fleet = 3\n" + ONE, "not a table"),
        (ONE + "[fleet]\nunproven = 'perhaps'\n", "one of continue, stop"),
        (ONE + "[update]\nncs = '9.9'\n", ".update. of FLEET.toml: NCS 9.9 is not known"),
        (ONE + "[update]\nnet_version_from = 'ask'\n", "does not say how to ask"),
        (ONE + "[hardware.big]\nnet_address = 3\n", "hardware.big. of FLEET.toml: 0x3 is not in the network"),
        (ONE + "[hardware.big]\nnet_address = 'x'\n", "must be an address such as"),
        (ONE + "[hardware.big]\nsize = 3\n", "unknown key 'size'"),
        (ONE + "[hardware]\nbig = 3\n", "hardware.big. of FLEET.toml is not a table"),
        (ONE + "[update]\npolicy = 'hope'\n", "one of test-and-confirm"),
        (ONE + "[update]\nsoak_s = -1\n", "'soak_s'"),
        (ONE + "[update]\ntimeout_s = 0\n", "'timeout_s' in .update. of FLEET.toml is 0"),
        ("", "has no devices: add a"),
        ("[[device]]\naddress = 'virtual:a'\n", "has no package for the hardware 'default' of 'virtual:a'"),
        ('[packages]\ndefault = "a\\u0000"\n[[device]]\naddress = "virtual:a"\n', "must name a file"),
        ("[packages]\ndefault = 3\n[[device]]\naddress = 'virtual:a'\n", "must name a file"),
        ("[packages]\ndefault = 'a'\n[[device]]\nname = 'a'\n", "..device.. number 1 of FLEET.toml has no address"),
        (ONE + "[[device]]\nname = 'a'\naddress = 'virtual:b'\n", "two devices are named 'a'"),
        (ONE + "[[device]]\nname = 'b'\naddress = 'virtual:a'\n", "the same address"),
        (ONE + "[[wave]]\ndevices = ['b']\n", "'b' in ..wave.. number 1 of FLEET.toml matches no device that is left"),
        (ONE + "[[wave]]\ncount = 1\nshare = 0.5\n", "more than one of"),
        (ONE + "[[wave]]\n[[wave]]\n", "no device is left"),
        (ONE + "[[device]]\naddress = 'virtual:b'\n[[wave]]\ncount = 1\n", "are in no wave"),
        (ONE + "[wave]\ncount = 1\n", "write ..wave.."),
        (ONE + "[fleet]\nid = '../x'\n", "'id' in .fleet. of FLEET.toml must have 1 to 64 letters"),
        (ONE + "[fleet]\nwave_success = 1.5\n", "'wave_success'"),
        (ONE + "[fleet]\nmax_unreachable = -1\n", "'max_unreachable'"),
        (ONE + "[update]\nno_downgrade = 1\n", "'no_downgrade' in .update. of FLEET.toml must be true or false"),
        (ONE + "[update]\ntrust = 'a.pem'\n", "'trust'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FleetFileError, match=says) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_one_device_under_two_spellings(tmp_path: Path) -> None:
    """Whatever spells an address: ``place`` says which ones are the same."""
    (tmp_path / "f.toml").write_text(ONE + '[[device]]\nname = "b"\naddress = "VIRTUAL:A"\n')
    assert len(Fleet.load(tmp_path / "f.toml").devices) == 2
    with pytest.raises(
        FleetFileError, match=r"'a' and 'b' have the same address, virtual:a \(virtual:a and VIRTUAL:A\)"
    ):
        Fleet.load(tmp_path / "f.toml", str.lower)


def test_what_a_fleet_refuses_and_what_it_is(tmp_path: Path) -> None:
    head = '[fleet]\nid = "roofs-1"\nwave_success = 0.5\nmax_unreachable = 2\n'
    text = head + '[update]\ntrust = ["k.pem"]\nno_downgrade = false\n'
    fleet = load(tmp_path, text + ONE + 'serial = "77"\n')
    assert (fleet.id, fleet.trust, fleet.treatment.no_downgrade) == ("roofs-1", (tmp_path / "k.pem",), False)
    assert fleet.limits == Limits(wave_success=0.5, max_unreachable=2)
    assert fleet.devices["a"].identity == "virtual:a 77"
    assert Treatment().no_downgrade


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ("name,address\na,\n", "line 2 of devices.csv has no name or no address"),
        ("name;address\na;b\n", "line 2"),
        ("name,address\n" + "a,virtual:a\n" * 2, "two devices"),
    ],
)
def test_a_wrong_list_of_devices(tmp_path: Path, listed: str, says: str) -> None:
    with pytest.raises(FleetFileError, match=says):
        load(tmp_path, '[fleet]\ndevices = "devices.csv"\n[packages]\ndefault = "a.zip"\n', listed)


def test_a_list_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "FLEET.toml"
    path.write_text('[fleet]\ndevices = "devices.csv"\n', "utf-8")
    (tmp_path / "devices.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FleetFileError, match="UTF-8"):
        Fleet.load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(FleetFileError, match="TOML"):
        Fleet.load(path)


@pytest.mark.parametrize(
    "line",
    ["k{} = 1\n", "[t{}]\n", "k{}.x = 1\n", "[[x]]\n", "k{} = {{}}\n"],
    ids=["keys", "tables", "dotted", "lists", "braces"],
)
def test_a_file_of_far_too_many_keys_is_not_parsed(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser takes 10 to 20 us for each: 300,000 took 10 s, and a file of 16 MiB a minute."""
    text = "".join(line.format(number) for number in range(300_000))
    monkeypatch.setattr(tomllib, "loads", lambda text: pytest.fail("it was parsed"))
    with pytest.raises(FleetFileError, match="more keys than a fleet can have"):
        load(tmp_path, f"[fleet]\n{text}")


def test_many_devices_with_all_that_a_table_takes_are_parsed(tmp_path: Path) -> None:
    table = (
        '[[device]]\nname = "{0}"\naddress = "serial:/dev/tty{0}?baudrate=9600&framing=raw"\nhardware = "a"\n'
        'serial = "{0}"\nncs = "2.6"\npartitions = "pm"\nnet_address = "0x01008800"\n'
    )
    text = "".join(table.format(number) for number in range(4_000))
    hardware = "".join(f'h{number} = "p.zip"\n' for number in range(2_000))
    assert len(load(tmp_path, f'{text}[packages]\na = "p.zip"\n{hardware}').devices) == 4_000


def test_many_devices_in_braces_are_parsed(tmp_path: Path) -> None:
    devices = ", ".join(f'{{ name = "{number}", address = "udp:10.0.0.1:{number + 1}" }}' for number in range(12_000))
    assert len(load(tmp_path, f'device = [{devices}]\n[packages]\ndefault = "a.zip"\n').devices) == 12_000
