"""``update --net-version-from``: each source, from the device's application to the proof, over a real link."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from tests.cli.device import telling_device
from tests.cli.device.conftest import Desk, new_desk
from tests.cli.device.telling_device import COMMAND, FILE, SETTING

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PrivateKey
    from tests.cli.conftest import Call

pytestmark = pytest.mark.usefixtures("soon")

RULES = (f"settings:{SETTING}", f"fs:{FILE}", f"shell:{' '.join(COMMAND)}")

Serve = Callable[[Desk], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a device by UDP, where no console tells what became of an image: its address."""
    processes: list[subprocess.Popen[str]] = []

    def start(desk: Desk) -> str:
        paths = os.pathsep.join((str(Path(telling_device.__file__).parents[3]), *filter(None, sys.path)))
        process = subprocess.Popen(
            [sys.executable, telling_device.__file__, "virtual", "run", desk.name, "--udp", "0", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        processes.append(process)
        assert process.stdout is not None
        return str(json.loads(process.stdout.readline())["port"])

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def board(smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]) -> Callable[[B0n], Desk]:
    """Makes a device whose slots look alike after a success and a refusal; it runs 1.0.0 on both cores."""

    def make(b0n: B0n) -> Desk:
        options = BootOptions(loader=Loader.from_name("3.4.1/pm"), b0n=b0n)
        return new_desk(Desk(smpdfu, "board", tmp_path, *trusted), "nrf5340dk-staged", options)

    return make


@pytest.mark.parametrize("rule", RULES)
def test_the_application_tells_of_success(board: Callable[[B0n], Desk], serve: Serve, rule: str) -> None:
    desk = board(B0n.ACCEPTS)
    address, package = serve(desk), desk.package()
    done = desk.run("update", package, "--to", address, "--net-version-from", rule, "--require-proof", "--json")
    assert done.code == 0, done.err
    said = done.document
    assert (said["result"], said["proven"], said["proof"]["source"]) == ("done", True, "version")
    assert said["proof"]["reason"] == "The application reports version 2.0.0 of the network core."
    assert desk.net_holds("2.0.0")


@pytest.mark.parametrize("rule", RULES)
def test_the_application_tells_of_a_refusal(board: Callable[[B0n], Desk], serve: Serve, rule: str) -> None:
    desk = board(B0n.REFUSES)
    address = serve(desk)
    done = desk.run("update", desk.package(), "--to", address, "--net-version-from", rule)
    assert done.code == 7, done.err
    assert "The application reports version 1.0.0 of the network core; net_core_update.bin is 2.0.0" in done.sentence
    assert desk.net_holds("1.0.0")


@pytest.mark.parametrize(
    "rule", ["settings:app/nothing", "settings:no/such", "fs:/lfs1/nothing", "fs:/nowhere/x", "shell:net", "shell:huh"]
)
def test_what_the_application_does_not_tell_proves_nothing(
    board: Callable[[B0n], Desk], serve: Serve, rule: str
) -> None:
    desk = board(B0n.ACCEPTS)
    address = serve(desk)
    done = desk.run("update", desk.package(), "--to", address, "--net-version-from", rule, "--json")
    assert done.code == 0, done.err
    assert (done.document["result"], done.document["proven"]) == ("unproven", False)
    assert desk.net_holds("2.0.0")
