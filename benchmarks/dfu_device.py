"""The device of ``bench_secure_dfu``, in a process of its own: a virtual nRF52840 in its bootloader at a modelled line.

``python -m benchmarks.dfu_device WIRE BAUDRATE SIZE PACKAGE`` writes a package for it with an application of ``SIZE``
bytes, and prints its port. For each line on stdin it prints whether the application runs ("yes" or "no"), and goes back
into its bootloader.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from smpdfu.virtual.line.timers import precise_loop
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.wires.dfu_serial import DfuLine
from tests.securedfu.send.dfu_bench import START, device_in_dfu, package_of, served
from tests.virtual.nrf52.nrf52_bench import firmware


async def main(wire: str, baudrate: int, size: int, package: Path) -> None:
    """Serve until stdin ends."""
    image = firmware(START, 2, size)
    await asyncio.to_thread(package.write_bytes, package_of(image).to_bytes())
    device = device_in_dfu(Nrf52Build(Transport(wire)))
    async with served(device, DfuLine(Traffic(baudrate=baudrate), time_factor=1.0)) as address:
        print(address.removeprefix("serial:"), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            runs = device.app_runs and device.chip.read(START, size) == image
            print("yes" if runs else "no", flush=True)
            device.enter_dfu()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
