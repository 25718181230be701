"""Provisioning data of NSIB: where b0 or b0n finds firmware, the keys that it trusts, and its monotonic counters.

They stand in OTP (UICR of the application core, from 0x00ff8100 on an nRF5340) or in flash (network core), and a build
has them in a file of its own, ``provision.hex``. Source: ``provision.py``, ``bl_storage.h`` and ``bl_storage.c`` of the
nRF Connect SDK, as built for an nRF53 (half-words; the nRF54 has words). Numbers are little endian.

Bits of OTP only go from 1 to 0. So a key is revoked by zeros in its token, and a counter counts by writing its next
slot: the value with its bits flipped. An erased slot (0xffff) is free, the highest value before the first free slot
counts.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from smpdfu.errors import FormatError, SigningError, TooLargeError
from smpdfu.image.nrf5340 import OTP
from smpdfu.image.nsib.seal import raw_public_key

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey

DEFAULT_MAX_BYTES = 0x1000
KEY_HASH_BYTES = 16
MAX_NUMBERED_KEYS = 16
MAX_SLOTS = 0xFFFE  # 0xffff is what erased OTP has
LIFE_CYCLE_BYTES, IMPLEMENTATION_ID_BYTES = 8, 32
FRONT_BYTES = LIFE_CYCLE_BYTES + IMPLEMENTATION_ID_BYTES
"""What stands between the provision address and the data of NSIB: others write it."""

HEAD = struct.Struct("<III")  # addresses of S0 and of S1, number of keys
KEY = struct.Struct("<I16s")
PAIR = struct.Struct("<HH")  # type and number of counters; description and number of slots of one
COUNTERS_TYPE = 1
VARIABLE_TYPE = 0x9312
FREE = 0xFFFF
HIGHEST_VERSION = 0x7FFF  # the highest firmware version that NSIB's counter can hold
PLAIN_TOKEN = 0xFFFF_FFFF
_NUMBERED_TOKEN = 0x50FA_FFFF
_REVOKED_MASK = 0xFFFF_0000


class Tokens(StrEnum):
    """What stands before the hash of a key: its number is in it since the middle of 2024 (NCS 2.9 has it so).

    A bootloader that knows NUMBERED ones stops at a PLAIN one, and the other way round.
    """

    NUMBERED = "numbered"
    PLAIN = "plain"

    def of(self, position: int, revoked: bool) -> int:
        """The token of the key at a position, which counts from 0."""
        token = PLAIN_TOKEN if self is Tokens.PLAIN else _NUMBERED_TOKEN | position << 24
        return token & _REVOKED_MASK if revoked else token


class Place(StrEnum):
    """Who reads the data, and so where they begin.

    NSIB: 0x28 bytes behind the provision address. MCUBOOT alone, without NSIB: at the address itself, with zeros in
    place of all that it does not need. BARE: the same in old releases, without these zeros.
    """

    NSIB = "nsib"
    MCUBOOT = "mcuboot"
    BARE = "bare"

    def begin(self, address: int) -> int:
        """Where the data begin for a provision address."""
        return address + FRONT_BYTES if self is Place.NSIB else address


class CounterUse(IntEnum):
    """What a monotonic counter counts: its description in the data."""

    NSIB = 1
    MCUBOOT = 2


class LifeCycle(StrEnum):
    """The life-cycle state of a device, which stands at the provision address itself."""

    ASSEMBLY = "assembly"
    PROVISIONING = "provisioning"
    SECURED = "secured"
    DECOMMISSIONED = "decommissioned"


@dataclass(frozen=True, slots=True)
class ProvisionedKey:
    """A key of the bootloader: ``hash`` has the first 16 bytes of SHA-256 over x and y."""

    hash: bytes
    revoked: bool = False

    def __post_init__(self) -> None:
        if len(self.hash) != KEY_HASH_BYTES:
            raise ValueError(f"the hash of a provisioned key has {KEY_HASH_BYTES} bytes")

    @classmethod
    def of(cls, key: PublicKey) -> ProvisionedKey:
        """The entry of a P-256 key; raises ``SigningError`` for another."""
        return cls(key_hash(raw_public_key(key)))

    @property
    def usable(self) -> bool:
        """False for a hash with an aligned half-word 0xffff: it looks like erased OTP, and the bootloader stops."""
        return all(self.hash[at : at + 2] != b"\xff\xff" for at in range(0, KEY_HASH_BYTES, 2))


@dataclass(frozen=True, slots=True)
class Counter:
    """A monotonic counter: ``slots`` in all, ``values`` what is in the used ones, in their order."""

    use: CounterUse
    slots: int
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.slots <= MAX_SLOTS or len(self.values) > self.slots:
            raise ValueError("a counter has 1 to 65534 slots, and no more values than slots")
        if any(not 0 < value <= FREE for value in self.values):
            raise ValueError("a value of a counter is a number from 1 to 65535")

    @property
    def current(self) -> int:
        """What it stands at, as it is stored: for NSIB, ``version_value`` of a version and a slot."""
        return max(self.values, default=0)

    @property
    def version(self) -> int | None:
        """The lowest firmware version that NSIB starts; None for a counter of MCUboot."""
        return self.current >> 1 if self.use is CounterUse.NSIB else None

    @property
    def slot(self) -> int | None:
        """Which slot (0 or 1) had the firmware that counted last; None before that, and for a counter of MCUboot."""
        return 1 - (self.current & 1) if self.use is CounterUse.NSIB and self.values else None

    @property
    def left(self) -> int:
        """How often it can still count up."""
        return self.slots - len(self.values)

    def to_bytes(self) -> bytes:
        """Description, number of slots, slots."""
        written = b"".join((FREE & ~value).to_bytes(2, "little") for value in self.values)
        return PAIR.pack(self.use, self.slots) + written.ljust(2 * self.slots, b"\xff")


@dataclass(frozen=True, slots=True)
class VariableData:
    """An entry of the data that some builds add: type 1 is the PSA certification reference."""

    type: int
    data: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.type < 256 or len(self.data) > 255:
            raise ValueError("variable data have a type of one byte, and at most 255 bytes")


@dataclass(frozen=True, slots=True)
class Provision:
    """Provisioning data. ``s0`` and ``s1`` are addresses of firmware, the same one where there is one slot only.

    ``life_cycle`` and ``implementation_id`` are only read, from a dump that begins at the provision address: they are
    written on the production line, and ``to_bytes`` does not have them.
    """

    s0: int
    s1: int
    keys: tuple[ProvisionedKey, ...] = ()
    counters: tuple[Counter, ...] = ()
    tokens: Tokens = Tokens.NUMBERED
    place: Place = Place.NSIB
    variable: tuple[VariableData, ...] = ()
    life_cycle: LifeCycle | None = None
    implementation_id: bytes | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.s0 < 1 << 32 and 0 <= self.s1 < 1 << 32):
            raise ValueError("an address does not fit 32 bits")
        if len({counter.use for counter in self.counters}) < len(self.counters):
            raise ValueError("two counters count the same")
        if self.tokens is Tokens.NUMBERED and len(self.keys) > MAX_NUMBERED_KEYS:
            raise ValueError(f"a bootloader takes at most {MAX_NUMBERED_KEYS} keys")
        if self.place is not Place.NSIB and (self.keys or self.s0 or self.s1):
            raise ValueError("MCUboot without NSIB has counters only")

    def counter(self, use: CounterUse) -> Counter | None:
        """The counter for a use; None where there is none."""
        return next((one for one in self.counters if one.use is use), None)

    def revoke_before(self, position: int) -> Provision:
        """The data after a boot of firmware that the key at ``position`` sealed: those before it are revoked."""
        before = tuple(replace(key, revoked=True) for key in self.keys[:position])
        return replace(self, keys=before + self.keys[position:])

    def count(self, use: CounterUse, value: int) -> Provision:
        """The data after ``value`` was written to a counter; ``ValueError`` if it is not higher, or no slot is left."""
        old = self.counter(use)
        if old is None or value <= old.current or not old.left:
            raise ValueError("there is no such counter, its value is not lower, or no slot is left")
        new = replace(old, values=(*old.values, value))
        return replace(self, counters=tuple(new if one is old else one for one in self.counters))

    def to_bytes(self) -> bytes:
        """The data, from ``place.begin(address)`` on."""
        parts = [self._head()]
        if self.counters:
            parts.append(PAIR.pack(COUNTERS_TYPE, len(self.counters)))
            parts += [counter.to_bytes() for counter in self.counters]
        if self.variable:
            body = b"".join(bytes((one.type, len(one.data))) + one.data for one in self.variable)
            parts += [PAIR.pack(VARIABLE_TYPE, len(self.variable)), body, bytes(-len(body) % 4)]
        return b"".join(parts)

    def _head(self) -> bytes:
        if self.place is not Place.NSIB:
            return bytes(FRONT_BYTES + HEAD.size) if self.place is Place.MCUBOOT else b""
        tokens = (self.tokens.of(position, key.revoked) for position, key in enumerate(self.keys))
        entries = [KEY.pack(token, key.hash) for token, key in zip(tokens, self.keys, strict=True)]
        return b"".join((HEAD.pack(self.s0, self.s1, len(self.keys)), *entries))


def key_hash(raw: bytes) -> bytes:
    """The hash by which provisioning data know a public key, of its raw x and y."""
    return hashlib.sha256(raw).digest()[:KEY_HASH_BYTES]


def version_value(version: int, slot: int) -> int:
    """What NSIB writes to its counter for a firmware version (15 bits) that it starts from a slot (0 or 1).

    The lowest bit is set for slot 0. Source: ``set_monotonic_version`` in ``bl_storage.c``.
    """
    return (version & HIGHEST_VERSION) << 1 | (slot == 0)


def is_slot_address(address: int) -> bool:
    """True for a word's address; none is 0, where b0 itself begins."""
    return 0 < address < 1 << 32 and address % 4 == 0


def room(address: int) -> int:
    """How many bytes there are for provisioning data at an address: to the end of OTP, or Nordic's default."""
    return OTP.stop - address if address in OTP else DEFAULT_MAX_BYTES


# --- making ---------------------------------------------------------------------------------------------------------


def provision_for(
    s0: int,
    s1: int | None,
    keys: Sequence[PublicKey],
    *,
    counter_slots: int = 0,
    mcuboot_counter_slots: int = 0,
    tokens: Tokens = Tokens.NUMBERED,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Provision:
    """Provisioning data for a new device. The first of ``keys`` is the one that signs; the others are for later.

    Raises ``SigningError`` for keys that a bootloader cannot have, ``FormatError`` for other values,
    ``TooLargeError`` if it needs more than ``max_bytes`` from the provision address on.
    """
    if not keys:
        raise SigningError("NSIB needs a key: without one, it boots no firmware").because("provision-no-key")
    entries = tuple(ProvisionedKey.of(key) for key in keys)
    _check_keys(entries, tokens)
    for address in (s0, s0 if s1 is None else s1):
        if not is_slot_address(address):
            raise FormatError(f"0x{address:x} is not the address of a firmware slot").because("provision-address")
    made = Provision(
        s0, s0 if s1 is None else s1, entries, _counters(counter_slots, mcuboot_counter_slots), tokens=tokens
    )
    return _fitting(made, max_bytes)


def mcuboot_provision(
    counter_slots: int, *, place: Place = Place.MCUBOOT, max_bytes: int = DEFAULT_MAX_BYTES
) -> Provision:
    """Provisioning data for MCUboot without NSIB: one counter. Raises ``FormatError``, ``TooLargeError``."""
    if not counter_slots:
        raise FormatError("MCUboot without NSIB needs a counter: there would be no data").because("provision-slots")
    return _fitting(Provision(0, 0, counters=_counters(0, counter_slots), place=place), max_bytes)


def _check_keys(keys: Sequence[ProvisionedKey], tokens: Tokens) -> None:
    if tokens is Tokens.NUMBERED and len(keys) > MAX_NUMBERED_KEYS:
        raise SigningError(
            f"there are {len(keys)} keys, and a bootloader takes at most {MAX_NUMBERED_KEYS}: leave some out"
        ).because("provision-keys")
    seen: dict[bytes, int] = {}
    for number, key in enumerate(keys, 1):
        if not key.usable:
            raise SigningError(
                f"the hash of key {number} has 0xffff in it, which looks like erased memory to the bootloader: "
                "make another key and use that one"
            ).because("provision-key-hash")
        if key.hash in seen:
            raise SigningError(f"keys {seen[key.hash]} and {number} are the same: leave one out").because(
                "provision-key-twice"
            )
        seen[key.hash] = number


def _counters(nsib: int, mcuboot: int) -> tuple[Counter, ...]:
    for slots in (nsib, mcuboot):
        if not 0 <= slots <= MAX_SLOTS or slots % 2:
            raise FormatError(f"a counter cannot have {slots} slots: the number is even, at most {MAX_SLOTS}").because(
                "provision-slots"
            )
    wanted = ((CounterUse.NSIB, nsib), (CounterUse.MCUBOOT, mcuboot))
    return tuple(Counter(use, slots) for use, slots in wanted if slots)


def _fitting(made: Provision, max_bytes: int) -> Provision:
    size = made.place.begin(0) + len(made.to_bytes())
    if size > max_bytes:
        raise TooLargeError(
            f"the provisioning data end {size} bytes behind the provision address, and there is room for {max_bytes}: "
            "take fewer counter slots or keys",
            size,
            max_bytes,
        ).because("provision-size")
    return made
