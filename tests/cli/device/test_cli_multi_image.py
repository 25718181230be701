"""``update`` takes a dfu_multi_image.bin as it takes a zip: the same images, the same steps, the same journal."""

from __future__ import annotations

from pathlib import Path

from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.multi_image import Part, dump, write_images
from smpdfu.dfu.package.package import Package
from tests.cli.device.conftest import Desk


def multi_image(desk: Desk) -> Path:
    """The images of the package of version 2.0.0, one behind the other."""
    path = desk.folder / "dfu_multi_image.bin"
    path.write_bytes(write_images(Package.load(desk.package()).images))
    return path


def test_update_brings_both_cores(desk: Desk) -> None:
    said = desk.json("update", multi_image(desk))
    assert (said["result"], said["proven"]) == ("done", True)
    assert desk.slots()[0] == (0, "2.0.0", "active confirmed")
    assert desk.net_holds("2.0.0")
    as_zip = desk.json("update", desk.package())
    assert (as_zip["result"], as_zip["steps"]) == ("nothing to do", [])


def test_two_pairs_of_slots_take_both_images_in_one_boot(two_pairs: Desk) -> None:
    said = two_pairs.json("update", multi_image(two_pairs))
    assert said["scheme"] == "simultaneous"
    assert two_pairs.slots()[0] == (0, "2.0.0", "active confirmed")
    assert two_pairs.net_holds("2.0.0")


def test_an_image_for_the_other_core_is_refused_before_anything_is_sent(desk: Desk) -> None:
    path = desk.folder / "swapped.bin"
    path.write_bytes(dump([Part(0, desk.data(Core.NET)), Part(1, desk.data(Core.APP))]))
    done = desk.call("update", path)
    assert done.code == 6
    assert "core" in done.err
    assert desk.slots() == [(0, "1.0.0", "active confirmed")]


def test_a_file_that_is_cut_off_is_refused(desk: Desk) -> None:
    path = multi_image(desk)
    path.write_bytes(path.read_bytes()[:-1])
    done = desk.call("update", path)
    assert done.code == 3
    assert "its header describes" in done.sentence
