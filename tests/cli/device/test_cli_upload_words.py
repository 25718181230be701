"""``upload``: what it says is what the flash shows, and never that something runs of which nothing is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.image.format import Dependency, Image, Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.smp.groups.image import StateRead
from smpdfu.virtual.server.groups.image import ImageGroup

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

RUNS_2 = (0, "2.0.0", "active confirmed")


def encrypted_network_image(desk: Desk, key: PrivateKey | None = None) -> Path:
    """One that does not show its core: encrypted, and no address in its header."""
    path = desk.folder / "net-encrypted.bin"
    spec = ImageSpec(Version(2), header_size=0x200, slot_size=0, pad_header=True)
    code = Image.from_bytes(desk.data(Core.NET)).payload
    path.write_bytes(build(spec, code, key or desk.key, desk.encryption.public).to_bytes())
    return path


@pytest.mark.parametrize("trusted_key", [True, False])
def test_an_encrypted_network_image_is_not_said_to_run(two_pairs: Desk, trusted_key: bool) -> None:
    """Its pair tells its core; whether the network core took it, nothing does."""
    image = encrypted_network_image(two_pairs, None if trusted_key else generate("ecdsa-p256"))
    for _ in range(2):
        done = two_pairs.call("upload", image, "-n", 1, "--confirm", "--json")
        assert (done.code, done.document["running"], done.document["proven"]) == (0, False, False)
    shown = two_pairs.call("upload", image, "-n", 1, "--confirm")
    assert "runs permanently" not in shown.out
    assert "SMP cannot show whether the network core took it" in shown.out


def tied(desk: Desk) -> Path:
    """A network image that needs an application of version 2.0.0."""
    path = desk.folder / "tied.bin"
    need = (Dependency(0, Version(2)),)
    spec = ImageSpec(Version(2), header_size=0x200, slot_size=0, pad_header=True, dependencies=need)
    path.write_bytes(build(spec, Image.from_bytes(desk.data(Core.NET)).payload, desk.key).to_bytes())
    return path


def test_an_image_whose_needs_are_not_met_is_not_sent_to_wait(two_pairs: Desk) -> None:
    before = two_pairs.flash()
    refused = two_pairs.call("upload", tied(two_pairs), "--confirm")
    assert refused.code == 6
    assert "needs image 0 of the device to be at least version 2.0.0, and it has 1.0.0" in refused.sentence
    assert two_pairs.flash() == before


@pytest.mark.usefixtures("soon")
def test_an_image_that_waits_for_another_one_was_not_installed(two_pairs: Desk) -> None:
    refused = two_pairs.call("upload", tied(two_pairs), "--confirm", "--force")
    assert refused.code == 7, "the list shows that it still waits"
    assert "It needs image 0 of version 2.0.0 or higher and waits for that" in refused.sentence
    assert two_pairs.net_holds("1.0.0")
    assert two_pairs.call("reset", "--json").document["outcomes"][0]["became"] == "not-installed"
    assert two_pairs.call("reset").code == 7


def test_a_marked_image_of_the_other_core_meets_a_need(two_pairs: Desk) -> None:
    """One after the other, as a person does it: the network image first."""
    assert two_pairs.call("upload", tied(two_pairs), "--test").code == 0
    assert two_pairs.json("upload", two_pairs.image(), "--confirm")["running"]
    assert two_pairs.slots() == [RUNS_2]


@pytest.mark.parametrize(
    ("device", "core", "why"),
    [
        ("overwriting", Core.APP, "the bootloader overwrites"),
        ("overwriting", Core.NET, "the bootloader overwrites"),
        ("two_pairs", Core.NET, "the bootloader overwrites"),
        ("desk", Core.NET, "the network core cannot be rolled back"),
    ],
)
def test_a_mark_that_is_no_trial_is_not_called_one(
    request: pytest.FixtureRequest, device: str, core: Core, why: str
) -> None:
    desk: Desk = request.getfixturevalue(device)
    done = desk.call("upload", desk.image(core), "--test")
    assert done.code == 0
    assert f"a reset cannot take this mark back: {why}. The next reset installs the image permanently" in done.err
    for said in (done.out, desk.call("upload", desk.image(core), "--test").out):
        assert "waits for the next boot; `smpdfu reset` installs it permanently" in said
        assert "smpdfu confirm" not in said


def test_what_runs_is_said_to_be_where_it_runs(desk: Desk) -> None:
    running = desk.image(version="1.0.0")
    for how in ("--test", "--confirm"):
        said = desk.json("upload", running, how)
        assert (said["slot"], said["bytes"], said["marked"], said["running"]) == (0, 0, None, True)
    sent = desk.call("upload", running)
    assert "uploaded; the device runs this image already" in sent.out
    assert "smpdfu test" not in sent.out, "the device would refuse it"


def test_a_trial_that_is_only_confirmed_is_not_said_to_restart(desk: Desk) -> None:
    desk.json("upload", desk.image(), "--test")
    desk.json("reset")
    done = desk.call("upload", desk.image(), "--confirm")
    assert done.code == 0
    assert "the image runs on trial: it must answer, then it is confirmed" in done.err
    assert "restarts" not in done.err


@pytest.mark.parametrize(("command", "words"), [("test", "accepted the mark"), ("confirm", "accepted the mark")])
def test_a_mark_that_the_list_does_not_show_is_a_5(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, command: str, words: str
) -> None:
    """8 would promise that repeating helps."""
    wanted = desk.json("upload", desk.image())["hash"]
    listed = ImageGroup.on_state_read
    monkeypatch.setattr(ImageGroup, "on_state_write", lambda self, request: listed(self, StateRead()))
    done = desk.call(command, wanted)
    assert done.code == 5
    assert words in done.sentence
    assert "Run the same command again" not in done.err


def test_an_image_is_no_package_and_the_command_for_it_is_told(desk: Desk) -> None:
    image = desk.image()
    refused = desk.call("update", image)
    assert refused.code == 3
    assert refused.sentence == f"{image.name} is a single mcuboot image and no dfu_application.zip"
    assert f"Install it with `smpdfu upload {image} --confirm`." in refused.err
    assert desk.call("upload", image, "--confirm").code == 0
