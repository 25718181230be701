"""Seals and provisioning data of NSIB are the bytes that a script of its own computes from the written format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smpdfu.image import hexfile
from smpdfu.image.files import encode_firmware, parse_firmware
from smpdfu.image.hexfile import Segment
from smpdfu.image.keys.keys import PrivateKey, load_private
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.provision import (
    Counter,
    CounterUse,
    LifeCycle,
    Place,
    Provision,
    ProvisionedKey,
    Tokens,
    VariableData,
    mcuboot_provision,
    provision_for,
)
from smpdfu.image.nsib.provision_reading import find_provision
from smpdfu.image.nsib.seal import refusal, seal, seal_block, vector_to_sign
from smpdfu.image.nsib.sealed_by import sealed_by
from smpdfu.image.signing.two_pass import GivenSigner
from tests.vectors.make_nsib import FILE, made

VECTORS: dict[str, Any] = json.loads(FILE.read_text())
SEALS: dict[str, dict[str, Any]] = VECTORS["seals"]
PROVISIONS: dict[str, dict[str, Any]] = VECTORS["provisions"]


def key(name: str) -> PrivateKey:
    return load_private(VECTORS["keys"][name]["pem"].encode())


def test_the_file_is_what_the_script_makes() -> None:
    assert FILE.read_text() == made()


# --- seals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEALS)
def test_a_seal_has_the_bytes_of_the_vector(name: str) -> None:
    """The signature, too: both are deterministic (RFC 6979)."""
    vector = SEALS[name]
    firmware, address, signer = bytes.fromhex(vector["firmware"]), vector["address"], key(vector["key"])
    assert seal(firmware, address, signer).hex() == vector["sealed"]
    block = seal_block(firmware, address, signer)
    assert block.to_bytes().hex() == vector["seal"]
    parts = (Segment(address, firmware), Segment(address + len(firmware) + -len(firmware) % 4, block.to_bytes()))
    assert encode_firmware(parts, "sealed.hex").decode() == vector["hex"]


@pytest.mark.parametrize("name", SEALS)
def test_what_is_to_be_signed_is_that_of_the_vector(name: str) -> None:
    vector = SEALS[name]
    firmware, address = bytes.fromhex(vector["firmware"]), vector["address"]
    found = vector_to_sign(firmware, address)
    assert found.payload.hex() == vector["payload_to_sign"]
    assert found.digest.hex() == vector["digest_to_sign"]
    raw = bytes.fromhex(vector["seal"])[-64:]
    given = GivenSigner(key(vector["key"]).public, raw)
    assert seal(firmware, address, given).hex() == vector["sealed"]


@pytest.mark.parametrize("name", SEALS)
def test_the_seal_of_a_vector_is_accepted_from_its_key_alone(name: str) -> None:
    vector = SEALS[name]
    sealed = bytes.fromhex(vector["sealed"])
    names = list(VECTORS["keys"])
    keys = [key(one).public for one in names]
    position = names.index(vector["key"])
    assert str(sealed_by(sealed, keys)) == f"key {position + 1}"
    assert list(sealed_by(sealed, keys).revokes) == list(range(position))
    assert str(sealed_by(sealed, [one for one in keys if one is not keys[position]])) == "unknown key"
    assert refusal(sealed, vector["address"], keys) is None
    info = FirmwareInfo.find(sealed)
    assert info is not None
    assert info.size == len(bytes.fromhex(vector["firmware"]))


# --- provisioning data ----------------------------------------------------------------------------------------------


def expected(vector: dict[str, Any]) -> Provision:
    """What a vector says in words."""
    hashes = [bytes.fromhex(VECTORS["keys"][name]["hash"]) for name in vector["keys"]]
    slots = {CounterUse.NSIB: "counter_slots", CounterUse.MCUBOOT: "mcuboot_counter_slots"}
    values = {CounterUse.NSIB: tuple(vector.get("values", ())), CounterUse.MCUBOOT: ()}
    identity = vector.get("implementation_id")
    return Provision(
        vector["s0"],
        vector["s1"],
        tuple(ProvisionedKey(one, number < vector.get("revoked", 0)) for number, one in enumerate(hashes)),
        tuple(Counter(use, vector[name], values[use]) for use, name in slots.items() if vector.get(name)),
        Tokens(vector.get("tokens", "numbered")),
        Place(vector.get("place", "nsib")),
        tuple(VariableData(kind, bytes.fromhex(data)) for kind, data in vector.get("variable", ())),
        LifeCycle(vector["life_cycle"]) if "life_cycle" in vector else None,
        None if identity is None else bytes.fromhex(identity),
    )


@pytest.mark.parametrize("name", PROVISIONS)
def test_provisioning_data_are_read_from_the_file_of_a_vector(name: str) -> None:
    vector = PROVISIONS[name]
    file = parse_firmware(vector["hex"].encode())
    assert find_provision(file) == expected(vector)
    assert find_provision(file, vector["provision"]) == expected(vector)
    assert find_provision(parse_firmware(bytes.fromhex(vector["data"]))) == expected(vector)


@pytest.mark.parametrize("name", PROVISIONS)
def test_provisioning_data_have_the_bytes_of_the_vector(name: str) -> None:
    vector, wanted = PROVISIONS[name], expected(PROVISIONS[name])
    start = wanted.place.begin(vector["provision"])
    skipped = start - vector["address"]  # a dump begins with what others write
    written = wanted.to_bytes()
    assert bytes.fromhex(vector["data"])[skipped:].startswith(written)
    assert not bytes.fromhex(vector["data"])[skipped + len(written) :].strip(b"\xff")


@pytest.mark.parametrize("name", [name for name, one in PROVISIONS.items() if one["made"]])
def test_new_provisioning_data_are_the_file_of_the_vector(name: str) -> None:
    vector = PROVISIONS[name]
    slots, mcuboot = vector.get("counter_slots", 0), vector.get("mcuboot_counter_slots", 0)
    place = Place(vector.get("place", "nsib"))
    if place is Place.NSIB:
        keys = [key(one).public for one in vector["keys"]]
        s1 = None if vector["s1"] == vector["s0"] else vector["s1"]
        tokens = Tokens(vector.get("tokens", "numbered"))
        found = provision_for(vector["s0"], s1, keys, counter_slots=slots, mcuboot_counter_slots=mcuboot, tokens=tokens)
    else:
        found = mcuboot_provision(mcuboot, place=place)
    segment = Segment(place.begin(vector["provision"]), found.to_bytes())
    assert hexfile.encode((segment,)).decode() == vector["hex"]
