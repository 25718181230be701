"""Provisioning data read: from the file of a build, or from a dump of a device.

Everything is bounded by the data that are there, and what is not as a bootloader of an nRF53 would have it is refused:
a mixed or unknown token, an unknown kind of data, a used slot behind a free one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from smpdfu.errors import FormatError
from smpdfu.image.files import Firmware, Segment
from smpdfu.image.nsib.provision import (
    COUNTERS_TYPE,
    FREE,
    FRONT_BYTES,
    HEAD,
    IMPLEMENTATION_ID_BYTES,
    KEY,
    LIFE_CYCLE_BYTES,
    MAX_NUMBERED_KEYS,
    MAX_SLOTS,
    PAIR,
    VARIABLE_TYPE,
    Counter,
    CounterUse,
    LifeCycle,
    Place,
    Provision,
    ProvisionedKey,
    Tokens,
    VariableData,
    is_slot_address,
)

MAX_BYTES = 0x1_0000
"""More than this is no provisioning data: the OTP of an nRF53 has 0x300 bytes, a page of flash 0x1000."""

_ERASED, _WRITTEN = 0xFFFF, 0x0000
# Provisioning, secured, reserved, decommissioned: a half-word each, written to zeros one after the other.
_LIFE_CYCLES = {
    (_ERASED, _ERASED, _ERASED): LifeCycle.ASSEMBLY,
    (_WRITTEN, _ERASED, _ERASED): LifeCycle.PROVISIONING,
    (_WRITTEN, _WRITTEN, _ERASED): LifeCycle.SECURED,
    (_WRITTEN, _WRITTEN, _WRITTEN): LifeCycle.DECOMMISSIONED,
}


def read_provision(data: bytes, place: Place = Place.NSIB) -> Provision:
    """The data that begin with ``data[0]``: ``place.begin(address)`` of a device, the first byte of a build's file.

    Raises ``FormatError`` with the offset at which reading failed. What follows may be erased memory.
    """
    data = data[:MAX_BYTES]
    if not data.strip(b"\xff"):
        raise FormatError("there are no provisioning data: the memory is erased", 0).because("provision-erased")
    if place is not Place.NSIB:
        return _read_mcuboot(data, place)
    s0, s1, count = _unpack(HEAD, data, 0, "the addresses")
    for at, address in ((0, s0), (4, s1)):
        if not is_slot_address(address):  # erased memory, too
            raise FormatError(f"0x{address:08x} is not the address of a firmware slot", at)
    tokens, keys = _read_keys(data, count)
    counters, variable = _read_collections(data, HEAD.size + count * KEY.size)
    return Provision(s0, s1, keys, counters, tokens, place, variable)


def read_dump(data: bytes) -> Provision:
    """``data`` that begin at the provision address: life-cycle state and implementation id come first.

    Raises ``FormatError``.
    """
    if len(data) < FRONT_BYTES:
        raise FormatError("the data are cut off in the life-cycle state and the implementation id", len(data))
    words = struct.unpack_from("<4H", data)
    cycle = _LIFE_CYCLES.get((words[0], words[1], words[3]))
    if cycle is None:
        raise FormatError(f"{data[:LIFE_CYCLE_BYTES].hex()} is not a life-cycle state", 0)
    try:
        found = read_provision(data[FRONT_BYTES:])
    except FormatError as error:
        at = None if error.offset is None else error.offset + FRONT_BYTES
        raise FormatError(str(error), at).because(error.code) from None
    identity = data[LIFE_CYCLE_BYTES:FRONT_BYTES]
    erased = identity == b"\xff" * IMPLEMENTATION_ID_BYTES
    return replace(found, life_cycle=cycle, implementation_id=None if erased else identity)


def find_provision(firmware: Firmware, address: int | None = None) -> Provision:
    """The data in a file, which is a build's ``provision.hex`` or a dump.

    ``address`` is the provision address; it is needed where the file has more than provisioning data, and where they
    can be read in two ways. A file without addresses begins there. Raises ``FormatError``.
    """
    parts = firmware.segments
    if address is not None:
        return _at(parts, address) if firmware.addressed else _one_reading(parts[0].data, whole=True)
    if len(parts) != 1 or len(parts[0].data) > MAX_BYTES:
        raise FormatError("the file has more in it than provisioning data, and does not say where they are").because(
            "provision-where"
        )
    return _one_reading(parts[0].data)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the data that a bootloader stumbles over, now or soon."""

    code: str
    message: str


def problems(data: Provision) -> tuple[Problem, ...]:
    """What is wrong with data that can be read, in the order of the keys and counters."""
    found = []
    known: set[bytes] = set()
    for number, key in enumerate(data.keys, 1):
        if not key.usable and not key.revoked:
            text = f"the hash of key {number} has 0xffff in it: the bootloader takes it for erased memory and stops"
            found.append(Problem("provision-key-hash", text))
        if key.hash in known:
            found.append(Problem("provision-key-twice", f"key {number} is the same as one before it"))
        known.add(key.hash)
    if data.place is Place.NSIB and all(key.revoked for key in data.keys):
        found.append(Problem("provision-no-key", "there is no valid key: the bootloader accepts no firmware"))
    for counter in data.counters:
        if not counter.left:
            at = counter.current if counter.version is None else f"version {counter.version}"
            text = f"the counter of {counter.use.name} has no slot left: it stays at {at}"
            found.append(Problem("provision-counter-full", text))
    return tuple(found)


def _at(parts: tuple[Segment, ...], address: int) -> Provision:
    """By its address, a file says whether it has what comes before the data of NSIB."""
    for part in parts:
        if part.address <= address < part.end:
            return _one_reading(part.data[address - part.address :], whole=True)
        if part.address == Place.NSIB.begin(address):
            return read_provision(part.data)
    raise FormatError(f"the file has nothing at 0x{address:08x} and 0x{FRONT_BYTES:x} bytes behind it").because(
        "provision-where"
    )


def _one_reading(data: bytes, whole: bool = False) -> Provision:
    """The only way to read the data; ``whole``: they begin at the provision address."""
    if not data.strip(b"\xff"):
        return read_provision(data)
    if data[: FRONT_BYTES + HEAD.size] == bytes(FRONT_BYTES + HEAD.size):
        return read_provision(data, Place.MCUBOOT)
    found: list[Provision] = []
    first: FormatError | None = None
    for read in (_as_nsib, read_dump, _as_bare) if not whole else (read_dump, _as_bare):
        try:
            found.append(read(data))
        except FormatError as error:
            first = first or error
    if not found:
        assert first is not None  # there was a reading that failed
        raise FormatError(f"these are no provisioning data: {first}", first.offset).because(first.code) from None
    if len(found) > 1:
        raise FormatError("the data can be read in two ways, by where they begin").because("provision-where")
    return found[0]


def _as_nsib(data: bytes) -> Provision:
    return read_provision(data)


def _as_bare(data: bytes) -> Provision:
    return read_provision(data, Place.BARE)


def _read_mcuboot(data: bytes, place: Place) -> Provision:
    start = FRONT_BYTES + HEAD.size if place is Place.MCUBOOT else 0
    if len(data) < start or any(data[:start]):
        raise FormatError("MCUboot without NSIB has zeros before its counters", 0)
    counters, variable = _read_collections(data, start)
    if [one.use for one in counters] != [CounterUse.MCUBOOT]:
        raise FormatError("MCUboot without NSIB has one counter, its own", start)
    return Provision(0, 0, counters=counters, place=place, variable=variable)


def _read_keys(data: bytes, count: int) -> tuple[Tokens, tuple[ProvisionedKey, ...]]:
    if count > (len(data) - HEAD.size) // KEY.size:
        raise FormatError(f"the data name {count} keys, and have no room for them", 8)
    entries = [KEY.unpack_from(data, HEAD.size + number * KEY.size) for number in range(count)]
    first = entries[0][0] if entries else 0
    tokens = Tokens.PLAIN if first in _both(Tokens.PLAIN, 0) else Tokens.NUMBERED
    if tokens is Tokens.NUMBERED and count > MAX_NUMBERED_KEYS:
        raise FormatError(f"{count} keys are more than a bootloader takes", 8)
    keys = []
    for position, (token, digest) in enumerate(entries):
        valid, revoked = _both(tokens, position)
        if token not in (valid, revoked):
            at = HEAD.size + position * KEY.size
            raise FormatError(f"0x{token:08x} is not the token of key {position + 1}, valid or revoked", at)
        keys.append(ProvisionedKey(digest, revoked=token == revoked))
    return tokens, tuple(keys)


def _both(tokens: Tokens, position: int) -> tuple[int, int]:
    """The token of a valid key, and of a revoked one."""
    return tokens.of(position, False), tokens.of(position, True)


def _read_collections(data: bytes, at: int) -> tuple[tuple[Counter, ...], tuple[VariableData, ...]]:
    counters: tuple[Counter, ...] = ()
    variable: tuple[VariableData, ...] = ()
    if _begins(data, at, COUNTERS_TYPE):
        counters, at = _read_counters(data, at)
    if _begins(data, at, VARIABLE_TYPE):
        variable, at = _read_variable(data, at)
    if data[at:].strip(b"\xff"):
        raise FormatError("there is something behind the data that smpdfu does not know", at)
    return counters, variable


def _begins(data: bytes, at: int, kind: int) -> bool:
    return data[at : at + 2] == kind.to_bytes(2, "little")


def _read_counters(data: bytes, at: int) -> tuple[tuple[Counter, ...], int]:
    _, count = _unpack(PAIR, data, at, "the counters")
    if count not in (1, 2):
        raise FormatError(f"the data name {count} counters, and there are 1 or 2", at + 2)
    at += PAIR.size
    counters: list[Counter] = []
    for _ in range(count):
        counter, end = _read_counter(data, at)
        if any(counter.use is one.use for one in counters):
            raise FormatError("two counters count the same", at)
        counters.append(counter)
        at = end
    return tuple(counters), at


def _read_counter(data: bytes, at: int) -> tuple[Counter, int]:
    use, slots = _unpack(PAIR, data, at, "a counter")
    if use not in list(CounterUse):
        raise FormatError(f"a counter has the description {use}, which smpdfu does not know", at)
    start, end = at + PAIR.size, at + PAIR.size + 2 * slots
    if not 0 < slots <= MAX_SLOTS or end > len(data):
        raise FormatError(f"the data name {slots} slots of a counter, and have no room for them", at + 2)
    words = struct.unpack_from(f"<{slots}H", data, start)
    used = next((number for number, word in enumerate(words) if word == FREE), slots)
    if any(word != FREE for word in words[used:]):
        raise FormatError("a counter has a used slot behind a free one", start + 2 * used)
    return Counter(CounterUse(use), slots, tuple(FREE & ~word for word in words[:used])), end


def _read_variable(data: bytes, at: int) -> tuple[tuple[VariableData, ...], int]:
    _, count = _unpack(PAIR, data, at, "the variable data")
    start = at = at + PAIR.size
    entries = []
    for _ in range(count):
        head = data[at : at + 2]
        end = at + 2 + (head[1] if len(head) == 2 else 0)
        if len(head) < 2 or end > len(data):
            raise FormatError("the variable data are cut off", at)
        entries.append(VariableData(head[0], data[at + 2 : end]))
        at = end
    padding = -(at - start) % 4
    if any(data[at : at + padding]) or len(data) < at + padding:
        raise FormatError("the variable data do not end with zeros", at)
    return tuple(entries), at + padding


def _unpack(form: struct.Struct, data: bytes, at: int, what: str) -> tuple[int, ...]:
    if at + form.size > len(data):
        raise FormatError(f"the data are cut off in {what}", len(data))
    return form.unpack_from(data, at)
