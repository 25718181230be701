"""Serve a virtual bootloader in a process of its own, on a line with a share of damaged bytes and a baud rate.


``python -m tests.securedfu.send.serve_device CORRUPTION BAUDRATE`` reads the key that the bootloader trusts from stdin,
in hex, and prints the port. For each further line it prints what runs ("new", "old", or "nothing"), and holds the
button of the bootloader during a reset.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from smpdfu.image.keys.keys import PublicKey, load_key
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.wires.dfu_serial import DfuLine
from tests.securedfu.send.dfu_bench import device_in_dfu, runs_new, runs_old, served


def tell(line: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(corruption: float, baudrate: int | None) -> None:
    """Serve until stdin ends."""
    device = device_in_dfu()
    key = load_key(bytes.fromhex(sys.stdin.readline()))
    assert isinstance(key, PublicKey)
    device.trust = replace(device.trust, key=key)
    device.enter_dfu()
    async with served(device, DfuLine(Traffic(baudrate=baudrate, corruption=corruption, seed=1))) as address:
        tell(address.removeprefix("serial:"))
        while await asyncio.to_thread(sys.stdin.readline):
            tell("new" if runs_new(device) else "old" if runs_old(device) else "nothing")
            device.enter_dfu()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]) or None))
