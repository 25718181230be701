"""Makes ``nsib.json``: seals and provisioning data of NSIB, computed from the written format alone.

    python tests/vectors/make_nsib.py

The format is that of the nRF Connect SDK (``validation_data.py``, ``provision.py``, ``bl_storage.h``), as our own table
of it says. Nothing here imports ``smpdfu``: ``struct``, ``hashlib`` and Intel HEX by hand. Signatures are ECDSA with
P-256 and SHA-256 by ``cryptography``, deterministic (RFC 6979), so that a signer of the same kind gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

FILE = Path(__file__).parent / "nsib.json"
SECRETS = {name: int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1 for name in ("now", "next", "last")}
FRONT = bytes.fromhex("0000ffffffffffff") + bytes(range(32))  # life cycle: provisioning; implementation id


def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(SECRETS[name], ec.SECP256R1())


def public(name: str) -> bytes:
    numbers = key(name).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def pem(name: str) -> str:
    return key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def digest16(name: str) -> bytes:
    return hashlib.sha256(public(name)).digest()[:16]


# --- seals ----------------------------------------------------------------------------------------------------------


def firmware(size: int, address: int, info_at: int, version: int) -> bytes:
    """Firmware with firmware info: 60 bytes at ``info_at``. The vector table begins it, or stands behind the info."""
    body = bytes((7 * number + number // 256) % 256 for number in range(size))
    magic = struct.pack("<III", 0x281EE6DE, 0x8FCEBB4C, 2 | 53 << 8)
    table = 0 if info_at else 0x100
    info = magic + struct.pack("<IIIIII", 60, size, version, address, address + table, 0x9102FFFF) + bytes(16 + 8)
    data = body[:info_at] + info + body[info_at + len(info) :]
    reset = struct.pack("<I", address + 0x151)
    return data[: table + 4] + reset + data[table + 8 :]


def seal(data: bytes, address: int, name: str) -> bytes:
    """The block behind firmware: 176 bytes."""
    digest = hashlib.sha256(data).digest()
    r, s = decode_dss_signature(key(name).sign(digest, ec.ECDSA(SHA256(), deterministic_signing=True)))
    magic = struct.pack("<III", 0x281EE6DE, 0x86518483, 2 | 53 << 8 | 1 << 16)
    return b"".join(
        (magic, struct.pack("<I", address), digest, public(name), r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    )


def seal_case(size: int, address: int, info_at: int, name: str) -> dict[str, Any]:
    data = firmware(size, address, info_at, size % 100)
    block = seal(data, address, name)
    gap = b"\xff" * (-size % 4)
    digest = hashlib.sha256(data).digest()
    return {
        "address": address,
        "key": name,
        "firmware": data.hex(),
        "payload_to_sign": digest.hex(),
        "digest_to_sign": hashlib.sha256(digest).hexdigest(),
        "seal": block.hex(),
        "sealed": (data + gap + block).hex(),
        "hex": intel_hex([(address, data), (address + size + len(gap), block)]),
    }


# --- provisioning data ----------------------------------------------------------------------------------------------


def counters(*wanted: tuple[int, int, Sequence[int]]) -> bytes:
    """Description, number of slots and used values of each."""
    data = struct.pack("<HH", 1, len(wanted))
    for description, slots, used in wanted:
        data += struct.pack("<HH", description, slots)
        data += b"".join(struct.pack("<H", value ^ 0xFFFF) for value in used) + b"\xff\xff" * (slots - len(used))
    return data


def keys(names: Sequence[str], *, numbered: bool, revoked: int = 0) -> bytes:
    """The number of keys, and each of them."""
    data = struct.pack("<I", len(names))
    for number, name in enumerate(names):
        token = (0x50FAFFFF | number << 24) if numbered else 0xFFFFFFFF
        data += struct.pack("<I", token & 0xFFFF0000 if number < revoked else token) + digest16(name)
    return data


def provisioned(start: int, data: bytes, **facts: Any) -> dict[str, Any]:
    return {"address": start, "data": data.hex(), "hex": intel_hex([(start, data)]), **facts}


def provisions() -> dict[str, Any]:
    """What a build makes, and what devices have later."""
    app, net = 0xFF8100, 0x01008580
    slots, one = struct.pack("<II", 0x8000, 0x14000), struct.pack("<II", 0x1008800, 0x1008800)
    both = ["now", "next"]
    made = {"s0": 0x8000, "s1": 0x14000, "provision": app, "made": True}
    read = {"s0": 0x8000, "s1": 0x14000, "provision": app, "made": False}
    used = counters((1, 4, (3, 5, 900)), (2, 2, ()))
    old = slots + keys([*both, "last"], numbered=True, revoked=2) + used
    variable = struct.pack("<HH", 0x9312, 1) + bytes((1, 3)) + b"abc" + bytes(3)
    return {
        "one key": provisioned(app + 0x28, slots + keys(["now"], numbered=True), keys=["now"], **made),
        "keys and counters": provisioned(
            app + 0x28,
            slots + keys(both, numbered=True) + counters((1, 20, ()), (2, 8, ())),
            keys=both,
            counter_slots=20,
            mcuboot_counter_slots=8,
            **made,
        ),
        "plain tokens": provisioned(
            app + 0x28, slots + keys(both, numbered=False) + counters((1, 2, ())),
            keys=both, tokens="plain", counter_slots=2, **made,
        ),
        "network core": provisioned(
            net + 0x28, one + keys(["last"], numbered=True),
            keys=["last"], s0=0x1008800, s1=0x1008800, provision=net, made=True,
        ),
        "MCUboot alone": provisioned(app, bytes(0x34) + counters((2, 6, ())), mcuboot_counter_slots=6, **made | {
            "s0": 0, "s1": 0, "place": "mcuboot", "keys": [],
        }),
        "MCUboot alone, old": provisioned(app, counters((2, 6, ())), mcuboot_counter_slots=6, **made | {
            "s0": 0, "s1": 0, "place": "bare", "keys": [],
        }),
        "used": provisioned(
            app + 0x28, old,
            keys=[*both, "last"], revoked=2, counter_slots=4, values=[3, 5, 900], mcuboot_counter_slots=2, **read,
        ),
        "used, plain tokens": provisioned(
            app + 0x28, slots + keys(both, numbered=False, revoked=1), keys=both, revoked=1, tokens="plain", **read
        ),
        "dump": provisioned(
            app, (FRONT + old).ljust(0x280, b"\xff"),
            keys=[*both, "last"], revoked=2, counter_slots=4, values=[3, 5, 900], mcuboot_counter_slots=2,
            life_cycle="provisioning", implementation_id=FRONT[8:].hex(), **read,
        ),
        "variable data": provisioned(
            app + 0x28, slots + keys(["now"], numbered=True) + variable, keys=["now"], variable=[[1, b"abc".hex()]],
            **read,
        ),
    }  # fmt: skip


# --- Intel HEX ------------------------------------------------------------------------------------------------------


def record(address: int, kind: int, data: bytes) -> str:
    body = bytes((len(data), address >> 8 & 0xFF, address & 0xFF, kind)) + data
    return f":{body.hex().upper()}{-sum(body) & 0xFF:02X}\n"


def intel_hex(parts: Sequence[tuple[int, bytes]]) -> str:
    """16 bytes a record from the first byte of each run on; parts that touch are one run."""
    runs: list[tuple[int, bytes]] = []
    for start, data in parts:
        if runs and runs[-1][0] + len(runs[-1][1]) == start:
            runs[-1] = (runs[-1][0], runs[-1][1] + data)
        else:
            runs.append((start, data))
    text, bank = "", -1 if runs[-1][0] + len(runs[-1][1]) > 0x10000 else 0
    for start, data in runs:
        at = start
        while at < start + len(data):
            if at >> 16 != bank:
                bank = at >> 16
                text += record(0, 4, struct.pack(">H", bank))
            end = min(at + 16, start + len(data), (bank + 1) << 16)
            text += record(at & 0xFFFF, 0, data[at - start : end - start])
            at = end
    return text + record(0, 1, b"")


# --- all ------------------------------------------------------------------------------------------------------------


def made() -> str:
    """The text of the file."""
    seals = {
        "network core": seal_case(1000, 0x1008800, 0x200, "now"),
        "not a multiple of 4": seal_case(1001, 0x1008800, 0x200, "now"),
        "info at the start": seal_case(602, 0x8200, 0x0, "next"),
        "info at 0x400, across 64 KiB": seal_case(1603, 0x1FE00, 0x400, "last"),
    }
    known = {name: {"pem": pem(name), "public": public(name).hex(), "hash": digest16(name).hex()} for name in SECRETS}
    return json.dumps({"keys": known, "seals": seals, "provisions": provisions()}, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(made(), "utf-8")
