"""b0, NSIB's bootloader on the application core: it starts MCUboot from S0 or S1, whichever has the higher version.

What it cannot validate it marks as invalid in flash, for ever, and it tries the other slot. What it starts revokes the
keys before its own and raises the monotonic counter. Source: ``samples/bootloader/src/main.c``,
``subsys/bootloader/bl_validation/bl_validation.c``, ``bl_storage.c`` and ``subsys/fw_info/fw_info.c`` of
nrfconnect/sdk-nrf, their lines on the console too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.image.nsib.firmware_info import (
    INFO_BYTES,
    INFO_MAGIC,
    INFO_OFFSETS,
    VALID,
    VALID_OFFSET,
    FirmwareInfo,
)
from smpdfu.image.nsib.provision import FRONT_BYTES, CounterUse, Provision, Tokens, version_value
from smpdfu.image.nsib.provision_reading import read_provision
from smpdfu.image.nsib.seal import ValidationInfo
from smpdfu.image.nsib.sealed_by import SealState, sealed_by
from smpdfu.virtual.chip.flash import Area, Bus
from smpdfu.virtual.chip.regions import NsibLayout

_VALID_MASK = 0xFFFF_0000  # INVALID_VAL of fw_info.c: what is written over the word that says valid
_WORD = 4


class StorageError(Exception):
    """b0 stops: what it was provisioned with cannot be read."""


@dataclass(frozen=True, slots=True)
class Check:
    """What b0 found out about the firmware of a slot. ``lines`` are those of its log, each with its level.

    ``refusal`` is the reason in b0's words, None for firmware that it starts. ``key`` is the position of the key that
    signed it, ``info`` what the firmware says of itself, None without.
    """

    info: FirmwareInfo | None
    lines: tuple[tuple[str, str], ...] = ()
    refusal: str | None = None
    key: int = 0


@dataclass(frozen=True, slots=True)
class Storage:
    """The provisioned data of a device, in OTP. ``tokens`` are those that this b0 knows."""

    area: Area
    tokens: Tokens

    def read(self) -> Provision:
        """What is there now. Raises ``StorageError``."""
        try:
            found = read_provision(self.area.read(FRONT_BYTES, self.area.size_bytes - FRONT_BYTES))
        except FormatError as error:
            raise StorageError(str(error)) from None
        if found.keys and found.tokens is not self.tokens:
            raise StorageError("the tokens of the keys are those of another b0")
        return found

    def write(self, new: Provision) -> None:
        """Program the words that are to change, in ascending order. Raises ``PowerCut``."""
        data = new.to_bytes()
        data += b"\xff" * (-len(data) % _WORD)
        for offset in range(0, len(data), _WORD):
            word = data[offset : offset + _WORD]
            if word != self.area.read(FRONT_BYTES + offset, _WORD):
                self.area.program(FRONT_BYTES + offset, word)


def version_of(data: Provision) -> int | None:
    """The lowest version that b0 starts; None where nothing counts versions."""
    counter = data.counter(CounterUse.NSIB)
    return None if counter is None else counter.version


class B0:
    """b0 over the memories of the application core; ``of_2024`` is as ``Release.b0_of_2024``."""

    def __init__(self, bus: Bus, nsib: NsibLayout, log: Callable[[str], None], *, of_2024: bool) -> None:
        self._log = log
        self._of_2024 = of_2024
        self.slots = tuple(bus.area(slot) for slot in nsib.slots)
        self.storage = Storage(bus.area(nsib.provision), Tokens.NUMBERED if of_2024 else Tokens.PLAIN)

    def run(self) -> int | None:
        """Start MCUboot: the number of its slot, or None when there is nothing to start. Raises ``PowerCut``."""
        try:
            for slot in self.order():
                if self._starts(slot):
                    return slot
        except StorageError:
            return None
        self._log("No bootable image found. Aborting boot.")
        return None

    def order(self) -> tuple[int, int]:
        """Which slot is tried first: S0, unless S1 has the higher version.

        Without firmware info in S0, b0 reads a version through a null pointer: a word of its own vector table, which is
        higher than any.
        """
        first, second = (find_info(slot) for slot in self.slots)
        return (1, 0) if first and second and second.version > first.version else (0, 1)

    def check(self, number: int, data: Provision) -> Check:
        """What b0 finds out about the firmware of a slot; nothing is written."""
        slot = self.slots[number]
        info = find_info(slot)
        if info is None:
            return Check(None, refusal="No fw_info struct found.")
        lines: list[tuple[str, str]] = []
        firmware = _firmware(slot, info)
        reason = next(_refusals(firmware, info, slot.size_bytes, version_of(data)), None)
        if self._of_2024 and (reason is None or reason not in _EARLY):
            lines.append(("I", "Trying to get Firmware version"))
        key = 0
        if reason is None:
            key, reason = self._signature(firmware, data, lines)
        if reason is not None:
            lines.append(("E", reason))
        return Check(info, tuple(lines), reason, key)

    def _signature(self, firmware: bytes, data: Provision, lines: list[tuple[str, str]]) -> tuple[int, str | None]:
        """The position of the key that signed, and why not; without keys the hash alone is checked."""
        found = sealed_by(firmware, data.keys)
        if not data.keys:
            if found.state is SealState.HASH_WRONG:
                return 0, "Firmware validation failed with error -102."
            lines.append(("I", "Firmware hash verified."))
            return 0, None
        for position, key in enumerate(data.keys):
            if key.revoked:
                lines.append(("I", f"Key {position} has been invalidated, try next."))
                continue
            lines.append(("I", f"Verifying signature against key {position}."))
            lines.append(("I", f"Hash: 0x{key.hash[0]:02x}...{key.hash[-1]:02x}"))
            if key.hash != found.key_hash:
                lines.append(("W", "Public key didn't match, try next."))
                continue
            if not found.accepted:
                return position, "Firmware validation failed with error -102."
            lines += (("I", f"Invalidating key {before}.") for before in range(position))
            lines.append(("I", "Firmware signature verified."))
            return position, None
        return 0, "Failed to validate signature."

    def _starts(self, number: int) -> bool:
        self._log(f"Attempting to boot slot {number}.")
        data = self.storage.read()
        found = self.check(number, data)
        if found.info is None:
            self._log("No fw_info struct found.")
            return False
        self._log(f"Attempting to boot from address 0x{found.info.address:x}.")
        for level, line in found.lines:
            self._say(level, line)
        if found.refusal is not None:
            self._log("Failed to validate, permanently invalidating!")
            self._invalidate(self.slots[number])
            return False
        if found.key:
            data = data.revoke_before(found.key)
            self.storage.write(data)
        self._log(f"Firmware version {found.info.version}")
        return self._counts(data, found.info.version, number)

    def _counts(self, data: Provision, version: int, number: int) -> bool:
        """Raise the counter to this version; False if there is no room left for that: it is not started then."""
        stored = version_of(data)
        if stored is None or version <= stored:
            return True
        self._say("I", f"Setting monotonic counter (version: {version}, slot: {number})")
        try:
            self.storage.write(data.count(CounterUse.NSIB, version_value(version, number)))
        except ValueError:
            self._say("E", "Failed during setting the monotonic counter, error: -12")
            return False
        return True

    def _invalidate(self, slot: Area) -> None:
        offset = _info_offset(slot)
        if offset is None:
            return
        place = offset + VALID_OFFSET
        if slot.read(place, _WORD) == VALID.to_bytes(_WORD, "little"):
            slot.program(place, (VALID & _VALID_MASK).to_bytes(_WORD, "little"))

    def _say(self, level: str, line: str) -> None:
        self._log(f"{level}: {line}" if self._of_2024 else line)


def find_info(slot: Area) -> FirmwareInfo | None:
    """The firmware info in a slot, counted from the slot's start as b0 does, with MCUboot's header before it."""
    return FirmwareInfo.find(slot.read(0, min(INFO_OFFSETS[-1] + INFO_BYTES, slot.size_bytes)))


def _info_offset(slot: Area) -> int | None:
    return next((one for one in INFO_OFFSETS if slot.read(one, len(INFO_MAGIC)) == INFO_MAGIC), None)


def _firmware(slot: Area, info: FirmwareInfo) -> bytes:
    """What is at the firmware's own address in the slot; nothing for firmware that is linked for elsewhere."""
    start = info.address - slot.region.start
    return slot.read(start, slot.size_bytes - start) if info.address in slot.region else b""


_EARLY = ("Firmware info doesn't point to itself.", f"Firmware has been invalidated: 0x{VALID & _VALID_MASK:x}.")


def _refusals(firmware: bytes, info: FirmwareInfo, slot_size: int, lowest: int | None) -> Iterator[str]:
    """What speaks against the firmware before its signature is looked at, in b0's order."""
    if FirmwareInfo.find(firmware) != info:
        yield "Firmware info doesn't point to itself."
    if info.valid != VALID:
        yield f"Firmware has been invalidated: 0x{info.valid:x}."
    if lowest is not None and info.version < lowest:
        yield f"Firmware version ({info.version}) is smaller than monotonic counter ({lowest})."
    if not info.total_size <= info.size <= slot_size:
        yield "Invalid size or total_size in firmware info."
    itself = FirmwareInfo.find(firmware)  # which counts from the firmware's start
    if itself is not None and (missing := itself.outside(firmware)) is not None:
        yield missing
    validation = ValidationInfo.find(firmware, info.size)
    if validation is None:
        yield "Could not find valid firmware validation info."
    elif validation.address != info.address:
        yield "Validation info doesn't belong to this firmware."
