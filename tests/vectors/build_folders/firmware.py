"""Small firmware for the rebuilt build folders: a right vector table, a text that names it, and fixed bytes behind."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from pathlib import Path

from intelhex import IntelHex

from smpdfu.image.keys.keys import PrivateKey, load_private
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import seal

ROOT = Path(__file__).resolve().parents[3]
SIGN_KEY = ROOT / "keys" / "dev-sign-p256.pem"
ENCRYPT_KEY = ROOT / "keys" / "dev-encrypt-p256.pem"
INFO_OFFSET = 0x200  # CONFIG_FW_INFO_OFFSET of N subsys/fw_info, default
APP_RAM_END, NET_RAM_END = 0x2007_0000, 0x2101_0000


@lru_cache
def signing_key() -> PrivateKey:
    """The development key of this repository: it stands for MCUboot's key and for that of b0n."""
    return load_private(SIGN_KEY.read_bytes())


def firmware(name: str, address: int, size: int = 0x1800, stack: int = APP_RAM_END) -> bytes:
    """``size`` bytes of firmware that is linked for ``address``; ``name`` makes it differ from others."""
    vectors = 64
    table = struct.pack(f"<{vectors}I", stack, *[address + 4 * vectors + 1] * (vectors - 1))  # odd: Thumb code
    text = table + f"rebuilt for tests: {name}\n".encode()
    return text + hashlib.shake_256(text).digest(size - len(text))


def sealed_pair(name: str, address: int, version: int, stack: int = NET_RAM_END) -> tuple[bytes, bytes]:
    """Firmware before and after the round of b0 or b0n (N scripts/bootloader: do_sign.py, validation_data.py)."""
    plain = firmware(name, address, stack=stack)
    info = FirmwareInfo(size=len(plain), version=version, address=address).to_bytes()
    plain = plain[:INFO_OFFSET] + info + plain[INFO_OFFSET + len(info) :]
    return plain, seal(plain, address, signing_key())


def provision_data(address: int, s0: int, s1: int | None = None, *, numbered: bool) -> tuple[int, bytes]:
    """The provisioning data of b0 or b0n (N scripts/bootloader/provision.py): S0, S1, hashes of public keys.

    ``address`` is that of the area; the life-cycle state and the implementation ID lie there, before the data.
    ``numbered``: the token has the number of the key, as since the middle of 2024.
    """
    public = hashlib.sha256(signing_key().public_bytes[-64:]).digest()[:16]
    token = struct.pack("<I", 0x50FA_FFFF if numbered else 0xFFFF_FFFF)
    return address + 0x28, struct.pack("<III", s0, s0 if s1 is None else s1, 1) + token + public


def write_hex(path: Path, *parts: tuple[int, bytes]) -> None:
    """Write an Intel HEX of ``parts``: each an address and its bytes."""
    memory = IntelHex()
    for address, data in parts:
        memory.puts(address, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    memory.write_hex_file(str(path))


def merge_hex(path: Path, *sources: Path) -> None:
    """Z scripts/build/mergehex.py with --overlap=replace: later files win."""
    memory = IntelHex()
    for source in sources:
        memory.merge(IntelHex(str(source)), overlap="replace")
    memory.start_addr = None
    memory.write_hex_file(str(path))


def write_pair(path: Path, address: int, data: bytes) -> None:
    """Write ``data`` as PATH.bin and as PATH.hex at ``address``, as the kernel's objcopy does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + ".bin").write_bytes(data)
    write_hex(path.with_name(path.name + ".hex"), (address, data))
