"""``upload`` of images that must not run, or not permanently, and what smpdfu says about what cannot be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build, lay_out
from smpdfu.virtual.store import devices as store_devices
from tests.simulated import simulate_commands

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

RUNS_1 = (0, "1.0.0", "active confirmed")
RUNS_2 = (0, "2.0.0", "active confirmed")


@pytest.mark.parametrize("how", [{"pad": True}, {"confirm": True}, {"test": True}], ids=lambda how: next(iter(how)))
def test_an_image_that_marks_itself_is_not_uploaded(desk: Desk, how: dict[str, bool]) -> None:
    spec = ImageSpec(Version(2), header_size=0x200, slot_size=0x7A000, pad_header=True, **how)  # type: ignore[arg-type]
    payload = desk.data()[0x200 : 0x200 + 3000]
    path = desk.folder / "padded.bin"
    path.write_bytes(lay_out(build(spec, payload, desk.key), spec))
    refused = desk.call("upload", path)
    assert (refused.code, "marks itself when written" in refused.sentence) == (6, True)
    assert desk.slots() == [RUNS_1]
    assert desk.call("upload", path, "--force").code == 0


def test_a_network_image_with_the_wrong_key_is_refused(desk: Desk) -> None:
    refused = desk.call("upload", desk.image(Core.NET, key=generate("ecdsa-p256")), "--confirm")
    assert refused.code == 7
    assert "did not take net-2.0.0.bin and erased it" in refused.sentence
    assert not desk.net_holds("2.0.0")


def test_an_encrypted_network_image_of_unknown_core_is_tried_and_reverts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run on the application core, permanently with such a mark."""
    simulate_commands(monkeypatch)
    refused = desk.call("upload", desk.image(Core.NET, encrypted=True), "--confirm", "--boot-timeout", "1", "-t", "0.2")
    assert refused.code == 4, "no answer, and the same call would only try the same image again"
    assert "switch it off and on: an image that was not confirmed is swapped back" in refused.sentence
    assert "Run the same command again" not in refused.err
    with store_devices.open_device("desk") as device:
        device.reset()
    assert desk.slots()[0] == RUNS_1


def test_a_trial_that_was_cut_off_goes_on(desk: Desk) -> None:
    desk.json("upload", desk.image(), "--test")
    desk.json("reset")
    said = desk.json("upload", desk.image(), "--confirm")
    assert (said["bytes"], said["running"]) == (0, True)
    assert desk.slots()[0] == RUNS_2


def test_without_a_way_back_it_is_said(overwriting: Desk) -> None:
    done = overwriting.call("upload", overwriting.image(), "--confirm")
    assert done.code == 0
    assert "The new image will be permanent and cannot be rolled back" in done.err
    assert overwriting.slots()[0] == RUNS_2


def test_what_cannot_be_seen_is_not_said_to_be_done(overwriting: Desk) -> None:
    image = overwriting.image(Core.NET, key=generate("ecdsa-p256"))
    done = overwriting.call("upload", image, "--confirm")
    assert done.code == 0
    assert "SMP cannot show whether the network core took it" in done.out
    said = overwriting.json("upload", overwriting.image(Core.NET), "--confirm")
    assert (said["running"], said["proven"]) == (False, True), "the console told it"


def test_the_same_call_again_is_no_error(desk: Desk) -> None:
    """Who was interrupted behind the mark types the same again."""
    first = desk.json("upload", desk.image(), "--test")
    slots = desk.slots()
    again = desk.json("upload", desk.image(), "--test")
    assert desk.slots() == slots
    assert (again["bytes"], again["hash"], again["marked"]) == (0, first["hash"], "test")
