"""What files of other tools say about themselves: ELF, UF2, S-records, SUIT envelopes. None of them is for MCUboot.

Each reader takes a whole file and returns facts, names to values; whatever a damaged file does not tell is left out,
and nothing is raised.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Facts = dict[str, object]

# ELF header, e_machine (System V ABI and its processor supplements).
_MACHINES = {3: "x86", 8: "MIPS", 40: "Arm", 62: "x86-64", 83: "AVR", 94: "Xtensa", 183: "AArch64", 243: "RISC-V"}
_ARM = 40
_ELF_TYPES = {1: "object file", 2: "program", 3: "shared object", 4: "core dump"}

# Family identifiers of Microsoft's uf2families.json, those that come near an nRF5340 on a desk.
_UF2_FAMILIES = {
    0xADA52840: "nRF52840",
    0x621E937A: "nRF52833",
    0x1B57745F: "nRF52",
    0xE48BFF56: "RP2040",
    0x68ED2B88: "SAMD21",
    0x55114460: "SAMD51",
}
_UF2_BLOCK = struct.Struct("<IIIIIIII")
UF2_BLOCK_BYTES = 512
_UF2_HAS_FAMILY = 0x2000

SUIT_ENVELOPE_TAG = b"\xd8\x6b"  # CBOR tag 107, "SUIT Manifest Format", section "Envelope"
_SUIT_MANIFEST, _SUIT_VERSION, _SUIT_SEQUENCE = 3, 1, 2
_DEEPEST_CBOR = 16


def elf_facts(data: bytes) -> Facts:
    """``machine``, ``type``, ``entry`` of an ELF file, and ``for_this_chip``."""
    if len(data) < 28 or data[5] not in (1, 2):
        return {}
    order = "<" if data[5] == 1 else ">"
    kind, machine = struct.unpack_from(f"{order}HH", data, 16)
    entry = struct.unpack_from(f"{order}{'I' if data[4] == 1 else 'Q'}", data, 24)[0] if len(data) >= 32 else None
    return {
        "machine": _MACHINES.get(machine, f"number {machine}"),
        "type": _ELF_TYPES.get(kind, f"type {kind}"),
        "entry": entry,
        "for_this_chip": machine == _ARM,
    }


def uf2_facts(data: bytes) -> Facts:
    """``blocks``, ``address`` of the first one, ``payload_bytes`` and ``family`` of a UF2 file."""
    if len(data) < UF2_BLOCK_BYTES:
        return {}
    _, _, flags, address, size, _, count, family = _UF2_BLOCK.unpack_from(data)
    known = _UF2_FAMILIES.get(family, f"0x{family:08x}") if flags & _UF2_HAS_FAMILY else None
    return {"blocks": count, "address": address, "payload_bytes": count * min(size, 476), "family": known}


def srec_facts(data: bytes) -> Facts:
    """``name`` in the S0 record, ``address`` of the first data record and number of ``records`` of an S-record file."""
    facts: Facts = {"records": 0}
    records = 0
    for line in data.split():
        if len(line) < 4 or line[:1] != b"S" or not line[1:2].isdigit():
            continue
        records += 1
        try:
            body = bytes.fromhex(line[2:].decode("ascii"))
        except ValueError:
            continue
        kind = line[1:2]
        if kind == b"0" and "name" not in facts:
            facts["name"] = body[3:-1].rstrip(b"\0").decode("ascii", "replace")
        elif kind in b"123" and "address" not in facts:
            facts["address"] = int.from_bytes(body[1 : 2 + int(kind)], "big")
    facts["records"] = records
    return facts


def suit_facts(data: bytes) -> Facts:
    """``manifest_version`` and ``sequence_number`` of a SUIT envelope, and names of its ``payloads``."""
    facts: Facts = {}
    try:
        for key, value in _cbor_map(data, len(SUIT_ENVELOPE_TAG)):
            if key == _SUIT_MANIFEST and isinstance(value, bytes):
                inner = {one: found for one, found in _cbor_map(value, 0) if isinstance(one, int)}
                facts["manifest_version"] = inner.get(_SUIT_VERSION)
                facts["sequence_number"] = inner.get(_SUIT_SEQUENCE)
            elif isinstance(key, str):
                facts.setdefault("payloads", [])
                names = facts["payloads"]
                assert isinstance(names, list)
                names.append(key)
    except (IndexError, ValueError):  # cut off, or not CBOR as SUIT has it
        pass
    return facts


# --- as much CBOR (RFC 8949) as an envelope needs -------------------------------------------------------------------


def _cbor_map(data: bytes, at: int) -> Iterator[tuple[object, object]]:
    """Keys and values of the map at ``at``; values that are neither number, text nor bytes are None."""
    major, count, at = _cbor_head(data, at)
    if major != 5:
        raise ValueError("no map")
    for _ in range(count):
        key, at = _cbor_item(data, at)
        value, at = _cbor_item(data, at)
        yield key, value


def _cbor_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, where the contents begin; ValueError for indefinite lengths."""
    major, info = data[at] >> 5, data[at] & 0x1F
    if info < 24:
        return major, info, at + 1
    if info > 27:
        raise ValueError("an indefinite length")
    size = 1 << (info - 24)
    if at + 1 + size > len(data):
        raise IndexError
    return major, int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _cbor_item(data: bytes, at: int, depth: int = 0) -> tuple[object, int]:
    """One item and where the next one begins."""
    if depth > _DEEPEST_CBOR:
        raise ValueError("nested too deep")
    major, value, at = _cbor_head(data, at)
    if major in (0, 1):
        return value if major == 0 else -1 - value, at
    if major in (2, 3):
        if at + value > len(data):
            raise IndexError
        raw = data[at : at + value]
        return (raw if major == 2 else raw.decode("utf-8", "replace")), at + value
    for _ in range({4: value, 5: 2 * value, 6: 1}.get(major, 0)):
        _, at = _cbor_item(data, at, depth + 1)
    return None, at
