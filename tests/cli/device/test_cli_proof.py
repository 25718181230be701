"""``update`` and ``info``: what is said of bootloader and network core, with the console and without, by generation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.network.netcore import B0n

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.device.conftest import Board, Desk, Serve

STAGED, OVERWRITE = "nrf5340dk-staged", "nrf5340dk-staged-overwrite"


def end_of(desk: Desk, *arguments: object) -> tuple[int, Any, str]:
    done = desk.run("update", *arguments, "--json")
    return done.code, json.loads(done.out), done.err


# --- row 1: NCS 3.4.1 and later, swapping -----------------------------------------------------------------------------


def test_a_refusal_that_nothing_shows_is_unproven(board: Board, over_udp: Serve) -> None:
    desk = board("3.4.1/pm", b0n=B0n.REFUSES)
    address, package = over_udp(desk), desk.package()
    code, said, err = end_of(desk, package, "--to", address)
    assert (code, said["result"], said["proven"], said["proof"]["value"]) == (0, "unproven", False, None)
    assert said["proof"]["source"] is None
    known, doubt = err.splitlines()[-2:]
    assert known == "warning: The device was reset and net_core_update.bin no longer waits for the next boot."
    assert doubt.startswith("warning: Bootloaders of NCS 3.4.1 and later do so whether the network core took the image")
    assert desk.net_holds("1.0.0")
    code, said, _ = end_of(desk, package, "--to", address, "--require-proof")
    assert (code, said["result"], said["proven"]) == (9, "nothing to do", False)
    assert (said["error"]["kind"], said["error"]["exit_code"]) == ("UnprovenError", 9)


def test_the_console_tells_of_the_refusal(board: Board) -> None:
    desk = board("3.4.1/pm", b0n=B0n.REFUSES)
    done = desk.call("update", desk.package())
    assert done.code == 7
    assert "the network core did not take net_core_update.bin and keeps its firmware" in done.sentence
    assert "printed that the update of the network core failed" in done.sentence
    assert desk.net_holds("1.0.0")
    assert desk.slots()[0] == (0, "2.0.0", "active confirmed")


def test_the_console_tells_of_success_and_the_journal_keeps_it(board: Board) -> None:
    desk = board("3.4.1/pm")
    package = desk.package()
    first, second = desk.json("update", package, "--require-proof"), desk.json("update", package, "--require-proof")
    assert [(one["result"], one["proven"]) for one in (first, second)] == [("done", True), ("nothing to do", True)]
    assert [one["proof"]["value"] for one in (first, second)] == [True, True]
    assert [one["proof"]["source"] for one in (first, second)] == ["console", "journal"]
    assert "nRF Connect SDK v3.4.1" in [clue["text"] for clue in first["loader"]["clues"]]
    assert desk.net_holds("2.0.0")


def test_the_journal_proves_nothing_of_another_chip(board: Board, over_udp: Serve, desk: Desk) -> None:
    """Two boards take turns at an address, and run the same application; the second one's network core is old."""
    first = board("3.4.1/pm")
    package, place = first.package(), first.folder / "port"

    def update(device: Desk, *how: str) -> tuple[int, Any, str]:
        process = device.start("virtual", "run", device.name, "--pty", "--link", place, "--json")
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            return end_of(device, package, "--to", f"serial:{place}", *how)
        finally:
            process.terminate()
            process.communicate()

    assert update(first)[1]["proven"] is True
    code, said, _ = update(first, "--require-proof")
    assert (code, said["result"], said["proven"], said["proof"]["source"]) == (0, "nothing to do", True, "journal")
    second = desk
    assert second.json("upload", first.image(), "--confirm")["running"]
    second.json("upload", first.image(Core.NET))  # it lies there as the first one's does, and was never handed over
    code, said, _ = update(second, "--require-proof")
    assert said["steps"], "nothing of the first board counts"
    assert (code, said["proven"], second.net_holds("2.0.0")) == (0, True, True)


# --- row 8: NCS 2.5 to 3.4.0, overwriting -----------------------------------------------------------------------------


@pytest.mark.parametrize("b0n", [B0n.ACCEPTS, B0n.REFUSES], ids=str)
def test_an_image_that_stays_pending_is_unproven(board: Board, over_udp: Serve, soon: None, b0n: B0n) -> None:
    desk = board("3.2/pm", OVERWRITE, b0n)
    address, package = over_udp(desk), desk.package()
    code, said, err = end_of(desk, package, "--to", address, "--force")
    assert (code, said["result"], said["proven"]) == (0, "unproven", False)
    assert "did not take" not in err
    assert "still waits for the next boot" in err
    assert "hand it over again at each boot, whether the network core took the image or refused it" in err
    assert [slot["pending"] for slot in said["images"]] == [False, True]
    assert desk.net_holds("2.0.0") is (b0n is B0n.ACCEPTS)
    code, said, _ = end_of(desk, package, "--to", address)
    assert (code, said["result"], said["steps"]) == (0, "nothing to do", [])


# --- what a person says, and the application --------------------------------------------------------------------------


def test_who_knows_the_release_has_a_proof(board: Board, over_udp: Serve, tmp_path: Path) -> None:
    desk = board("3.2/pm")
    address, package = over_udp(desk), desk.package()
    code, said, _ = end_of(desk, package, "--to", address, "--ncs", "3.2", "--net-address", "0x01008800")
    assert (code, said["result"], said["proven"], said["proof"]["source"]) == (0, "done", True, "slots")
    assert "With a bootloader of NCS 3.2 and 3.3 this means that the network core took it." in said["proof"]["reason"]
    assert said["loader"]["candidates"] == ["3.2/pm"]
    assert desk.net_holds("2.0.0")


def test_a_command_tells_the_version(board: Board, over_udp: Serve, soon: None) -> None:
    desk = board("3.4.1/pm", b0n=B0n.REFUSES)
    address = over_udp(desk)
    rule = 'command:echo "network core: 1.0.0"'
    done = desk.run("update", desk.package(), "--to", address, "--net-version-from", rule, "--boot-timeout", 30)
    assert done.code == 7
    assert "The application reports version 1.0.0 of the network core; net_core_update.bin is 2.0.0" in done.sentence
    assert desk.net_holds("1.0.0")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--ncs", "9.9"), "NCS 9.9 is not known here"),
        (("--ncs", "2.9", "--partitions", "dts"), "no builds with dts partitions"),
        (("--net-address", "0xc000"), "is not in the network core's flash"),
        (("--net-address", "there"), "write 0x01008800"),
        (("--net-version-from", "ask nicely"), "does not say how to ask"),
        (("--net-version-from", "command:no-such-program"), "there is no such program"),
        (("--require-proof", "--upload-only"), "boots nothing"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(desk: Desk, words: tuple[str, ...], says: str) -> None:
    done = desk.call("update", desk.package(), *words)
    assert (done.code, says in done.err) == (2, True), done.err


def test_only_what_was_to_be_booted_can_be_proven(desk: Desk) -> None:

    assert desk.json("update", desk.package(cores=(Core.APP,)), "--upload-only")["proven"] is None
    assert desk.json("update", desk.package(cores=(Core.APP,)), "--plan")["proven"] is None
    said = desk.json("update", desk.package(cores=(Core.APP,)))
    assert (said["proven"], said["proof"]) == (True, None)


def test_an_upload_is_told_the_release_too(board: Board, over_udp: Serve) -> None:

    desk = board("3.2/pm")
    said = desk.run("upload", desk.image(Core.NET), "--confirm", "--ncs", "3.2", "--to", over_udp(desk), "--json")
    assert (said.code, said.document["proven"]) == (0, True), said.err
    assert desk.net_holds("2.0.0")


def test_a_version_that_nobody_asked_for_before_the_reset_proves_nothing(
    board: Board, over_udp: Serve, tmp_path: Path
) -> None:
    """The call that reset the device did not ask, and was killed behind the reset; the one that goes on does."""
    from smpdfu.dfu.do.journal.reading import journal_path

    desk = board("3.4.1/pm", b0n=B0n.REFUSES)
    address, package = over_udp(desk), desk.package()
    assert end_of(desk, package, "--to", address)[1]["result"] == "unproven"
    journal = journal_path(address)
    lines = journal.read_text().splitlines(keepends=True)
    checked = next(number for number, line in enumerate(lines) if '"check net"' in line)
    journal.write_text("".join(lines[:checked]))
    rule = ("--net-version-from", "command:echo 2.0.0", "--require-proof")
    code, said, err = end_of(desk, package, "--to", address, *rule)
    assert [step["name"] for step in said["steps"]] == ["check net"], said
    assert (code, said["result"], said["proven"]) == (9, "unproven", False), err
    assert desk.net_holds("1.0.0")


# --- info -------------------------------------------------------------------------------------------------------------

GENERATIONS = [
    "2.5/pm",
    "2.7/pm",
    "2.8/pm",
    "3.1/pm",
    "3.2/pm",
    "3.3/dts",
    "3.4.0/pm",
    "3.4.0/dts",
    "3.4.1/pm",
    "3.5/dts",
]


@pytest.mark.parametrize("loader", GENERATIONS)
def test_info_tells_what_the_bootloader_may_be(board: Board, loader: str) -> None:
    desk = board(loader)
    release = Loader.from_name(loader).release
    plain = desk.json("info")["loader"]
    assert (plain["clues"], plain["contradicts"]) == ([], False)
    assert loader in plain["candidates"]
    assert plain["application"][0].startswith("NCS 2.5 or later: it answers bootloader info")
    told = desk.json("info", "--reset")["loader"]
    assert loader in told["candidates"]
    if release.banner:
        assert {name.split("/")[0] for name in told["candidates"]} == {release.name}
        assert [clue["source"] for clue in told["clues"]] == ["console"]
        assert f"nRF Connect SDK v{'.'.join(map(str, release.version))} (console)" in desk.call("info", "--reset").out
    said = desk.json("info", "--ncs", release.name)["loader"]
    assert {name.split("/")[0] for name in said["candidates"]} == {release.name}


def test_info_over_udp_says_that_nothing_tells(board: Board, over_udp: Serve) -> None:
    desk = board("3.4.1/pm")
    address = over_udp(desk)
    said = desk.run("info", "--to", address, "--reset", "--json").document["loader"]
    assert said["clues"] == []
    assert "the device does not report it: read the serial console with --reset, or give --ncs" in desk.run(
        "info", "--to", address
    ).out.replace("\n", " ")


def test_info_knows_what_an_update_has_seen(board: Board) -> None:
    desk = board("3.4.1/pm")
    desk.json("update", desk.package())
    said = desk.json("info")["loader"]
    assert said["candidates"] == ["3.4.1/pm", "3.4.1/dts"] or said["candidates"] == ["3.4.1/dts", "3.4.1/pm"]
    assert [clue["source"] for clue in said["clues"]] == ["journal"]


def test_info_does_not_restart_a_device_that_would_change(board: Board) -> None:
    desk = board("3.4.1/pm")
    desk.json("upload", desk.image(), "--test")
    refused = desk.call("info", "--reset")
    assert "because an image is pending or on trial" in refused.refused(6)
    assert "`smpdfu list` shows it" in refused.err
    assert desk.slots()[1] == (1, "2.0.0", "pending")


def test_a_profile_says_it_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    (desk.folder / "smpdfu.toml").write_text(
        f'[profile.roof]\nto = "{desk.address}"\nncs = "3.4"\npartitions = "dts"\nnet_address = 0x01008800\n'
    )
    said = desk.run("info", "-c", "roof", "--json").document["loader"]
    assert said["candidates"] == ["3.4.0/dts", "3.4.1/dts"]
    over = desk.run("info", "-c", "roof", "--ncs", "3.3", "--json").document["loader"]
    assert over["candidates"] == ["3.3/dts"]
    (desk.folder / "smpdfu.toml").write_text(f'[profile.roof]\nto = "{desk.address}"\npartitions = "mine"\n')
    assert desk.run("info", "-c", "roof").code == 2
