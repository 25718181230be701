"""Which devices of a search are this gateway's: by name, none twice, and none that the file has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smpdfu.agent.description.scan_rule import ScanRule, SeenDevice, fits_as_name
from smpdfu.connect import place_of
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.fleet.description.device_list import FleetDevice, Loaders

LOADERS = Loaders(Bootloader("3.2"), {"big": Bootloader("2.5")})
RULE = ScanRule({"ble": ("roof-*",), "serial": ("1050*",)}, "big", "b17-")


def ble(name: str, address: str) -> SeenDevice:
    return SeenDevice("ble", name, f"ble:{address}")


def test_names_that_fit_become_controller_ids() -> None:
    found = [
        ble("roof-1", "C0:00:00:00:00:01"),
        ble("lab-1", "C0:00:00:00:00:02"),
        ble("", "C0:00:00:00:00:03"),
        SeenDevice("serial", "1050012345", "serial:/dev/ttyACM0"),
        SeenDevice("virtual", "roof-2", "virtual:roof-2"),
    ]
    chosen = RULE.choose(found, {}, LOADERS, place_of)
    assert list(chosen.devices) == ["b17-roof-1", "b17-1050012345"]
    first = chosen.devices["b17-roof-1"]
    assert (first.address, first.hardware, first.bootloader.ncs) == ("ble:C0:00:00:00:00:01", "big", "2.5")
    assert first.place == "ble:C0:00:00:00:00:01"
    assert chosen.refused == {}


def test_two_devices_of_one_name_are_both_left_out() -> None:
    """Also a third one: smpdfu cannot tell which of them is meant."""
    found = [ble("roof-1", f"C0:00:00:00:00:0{number}") for number in (1, 2, 3)]
    chosen = RULE.choose(found, {}, LOADERS, place_of)
    assert chosen.devices == {}
    assert chosen.refused == {"b17-roof-1": "more than one device has this name"}


def test_one_device_that_is_heard_twice_is_one() -> None:
    found = [ble("roof-1", "c0:00:00:00:00:01"), ble("roof-1", "C0-00-00-00-00-01")]
    assert list(RULE.choose(found, {}, LOADERS, place_of).devices) == ["b17-roof-1"]


def test_what_the_file_has_is_not_taken_again() -> None:
    known = {
        "by address": FleetDevice("by address", "", place="ble:C0:00:00:00:00:01"),
        "by name": FleetDevice("by name", "", place="ble:roof-2"),
        "b17-roof-3": FleetDevice("b17-roof-3", "", place="udp:10.0.0.1:1337"),
    }
    found = [ble(f"roof-{number}", f"C0:00:00:00:00:0{number}") for number in (1, 2, 3)]
    chosen = RULE.choose(found, known, LOADERS, place_of)
    assert chosen.devices == {}
    assert chosen.refused == {"b17-roof-3": "a device of the agent's file has the same name"}


@given(st.lists(st.tuples(st.text(max_size=300).map(lambda name: "roof-" + name), st.integers(0, 5)), max_size=8))
def test_every_id_is_fit_for_a_server_and_belongs_to_one_place(seen: list[tuple[str, int]]) -> None:
    found = [ble(name, f"C0:00:00:00:00:0{number}") for name, number in seen]
    chosen = RULE.choose(found, {}, LOADERS, place_of)
    assert all(fits_as_name(name) for name in chosen.devices)
    assert not set(chosen.devices) & set(chosen.refused)
    assert set(chosen.devices) | set(chosen.refused) == {f"b17-{name}" for name, _ in seen}
    for name, device in chosen.devices.items():
        assert {f"ble:C0:00:00:00:00:0{number}" for other, number in seen if f"b17-{other}" == name} == {device.place}
