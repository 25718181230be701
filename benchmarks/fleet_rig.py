"""A fleet of virtual nRF5340 of which some are broken: who they are, and a process that serves them all at UDP ports.

Devices run version 1 on both cores; the package brings version 2 of both (64 and 112 KiB, about what Zephyr's samples
have). The broken ones are spread over the fleet and broken in turn in each of the ways of ``WAYS``.

As a process: ``python -m benchmarks.fleet_rig COUNT FOLDER`` writes the package and the list of devices into FOLDER,
says ``ready``, and answers to each line on stdin with ``{name: version that runs}``.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.boards import HEADER, KEY, application, at_ports, board, firmware, loaded, put_away
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import build
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.local.state.limits import allow_open_files
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.groups.os import Build

APP_SIZE, NET_SIZE = 64 << 10, 112 << 10
OLD, NEW = "1.0.0", "2.0.0"
BROKEN_SHARE = 0.03
DEAF_AFTER_BYTES = 30_000
STRANGER = generate("ecdsa-p256")


@dataclass(frozen=True, slots=True)
class Way:
    """A way of being broken: how it is made, and with what outcomes the fleet may report it."""

    make: Callable[[str], VirtualNrf5340]
    outcomes: frozenset[str]


class DeafDevice(VirtualNrf5340):
    """Its link loses everything after so many bytes, until it is served anew."""

    heard = 0

    def answers(self, packet: bytes) -> list[bytes]:
        """As a device; none behind the last byte that the link carries."""
        self.heard += len(packet)
        return [] if self.heard > DEAF_AFTER_BYTES else super().answers(packet)


class OtherBoard(VirtualNrf5340):
    """Firmware of the same key, built for another board."""

    build = Build(platform="thingy53/nrf5340/cpuapp")


def dead(name: str) -> VirtualNrf5340:
    """There is no application in it."""
    device = board(name, loaded(APP_SIZE))
    device.images[0].primary.area.erase_all()
    device.reset()
    return device


def strange(name: str) -> VirtualNrf5340:
    """Its bootloader trusts another key, by which its application is signed."""
    device = board(name, loaded(APP_SIZE), key=STRANGER)
    device.load_app(application(Version(1), size=APP_SIZE, key=STRANGER))
    device.reset()
    return device


def deaf(name: str) -> VirtualNrf5340:
    """See ``DeafDevice``."""
    return board(name, loaded(APP_SIZE), kind=DeafDevice)


def elsewhere(name: str) -> VirtualNrf5340:
    """It says that it is another board, so that preflight refuses the package."""
    return board(name, loaded(APP_SIZE), kind=OtherBoard)


def good(name: str) -> VirtualNrf5340:
    """Nothing is wrong with it."""
    return board(name, loaded(APP_SIZE))


WAYS: Mapping[str, Way] = {
    "dead": Way(dead, frozenset({"unreachable"})),
    "strange-key": Way(strange, frozenset({"reverted"})),
    "unhealthy": Way(good, frozenset({"reverted"})),  # the health command says so
    "deaf": Way(deaf, frozenset({"incomplete", "unreachable"})),
    "other-board": Way(elsewhere, frozenset({"refused"})),
}


@cache
def broken(count: int) -> Mapping[str, str]:
    """The names of the broken devices of a fleet of ``count``, and in which way."""
    chosen = random.Random(count).sample(range(count), max(round(count * BROKEN_SHARE), len(WAYS)))
    ways = list(WAYS)
    return {name_of(number): ways[at % len(ways)] for at, number in enumerate(sorted(chosen))}


def name_of(number: int) -> str:
    """What a device is called."""
    return f"roof-{number:04}"


def devices(count: int) -> dict[str, VirtualNrf5340]:
    """All of them by name, switched on."""
    ways, names = broken(count), [name_of(number) for number in range(count)]
    return {name: WAYS[ways[name]].make(name) if name in ways else good(name) for name in names}


def package() -> Package:
    """Version 2 of both cores."""
    version, net = Version.from_text(NEW), NRF5340DK_STAGED.net.app
    payload = firmware(net, 0, NET_SIZE, 7)
    net_data = build(ImageSpec(version, HEADER, 0, pad_header=True), payload, KEY).to_bytes()
    app = PackageImage.from_bytes(
        application(version, size=APP_SIZE), "app_update.bin", {"load_address": NRF5340DK_STAGED.primary.start + HEADER}
    )
    net_image = PackageImage.from_bytes(net_data, "net_core_update.bin", {"load_address": net.start})
    assert (app.core, net_image.core) == (Core.APP, Core.NET)
    return new_package([(app, NRF5340DK_STAGED.primary.start + HEADER), (net_image, net.start)])


def versions(made: Mapping[str, VirtualNrf5340]) -> dict[str, str | None]:
    """What runs in each of them, confirmed; of what is on trial, with a question mark."""
    return {name: _version(device) for name, device in made.items()}


def _version(device: VirtualNrf5340) -> str | None:
    if device.running is None:
        return None
    trailer = device.images[0].primary.trailer()
    on_trial = trailer.magic == "good" and trailer.image_ok != "set"
    return f"{device.running.header.version}{'?' if on_trial else ''}"


# --- the process ----------------------------------------------------------------------------------------------------


async def serve(count: int, folder: Path) -> None:
    """Every device at a port of its own, until stdin ends."""
    made = devices(count)
    found, serving = await at_ports(list(made.values()))
    ports = dict(zip(made, found, strict=True))
    lines = ["name,address", *(f"{name},udp:127.0.0.1:{port}" for name, port in ports.items())]
    (folder / "devices.csv").write_text("\n".join(lines) + "\n")
    package().write(folder / "package.zip")
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(versions(made)), flush=True)
    await put_away(serving)


if __name__ == "__main__":
    allow_open_files(int(sys.argv[1]) + 100)
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
