"""``list upload test confirm erase reset echo info`` against a virtual device, as a person types them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.image.files import Segment, encode_firmware

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.cli.device.conftest import Desk

RUNS_1 = (0, "1.0.0", "active confirmed")
RUNS_2 = (0, "2.0.0", "active confirmed")


def test_list_has_stable_fields(desk: Desk) -> None:
    assert desk.slots() == [RUNS_1]
    (slot,) = desk.json("list")["images"]
    assert list(slot) == [
        *("image", "slot", "version", "hash", "active", "confirmed", "pending", "permanent", "bootable")
    ]
    assert len(slot["hash"]) == 64


def test_list_is_a_table_for_people(desk: Desk) -> None:
    out = desk.call("list").out
    assert "1.0.0" in out
    assert "active confirmed" in out
    digest = desk.json("list")["images"][0]["hash"]
    assert digest[:12] in out
    assert digest not in out
    assert digest in desk.call("list", "--long").out


def test_the_build_number_is_written_with_a_plus(desk: Desk) -> None:
    desk.json("upload", desk.image(version="2.0.0+7"))
    assert [version for _, version, _ in desk.slots()] == ["1.0.0", "2.0.0+7"]


def test_upload_says_what_it_did(desk: Desk) -> None:
    path = desk.image(size=20_000)
    said = desk.json("upload", path)
    assert said.pop("seconds") >= 0
    assert said.pop("requests") >= 20_000 // 2048  # the device's buffers
    assert said.pop("window") >= 1
    assert said.pop("hash") == desk.json("list")["images"][1]["hash"]
    assert said == {
        "file": path.name,
        "image": 0,
        "slot": 1,
        "version": "2.0.0",
        "bytes": path.stat().st_size,
        "retries": 0,
        "resumed_at": 0,
        "verified": True,
        "marked": None,
        "running": False,
        "proven": None,
    }
    assert desk.slots() == [RUNS_1, (1, "2.0.0", "")]


def test_a_signed_hex_is_uploaded_as_its_bytes(desk: Desk) -> None:
    path = desk.folder / "signed.hex"
    path.write_bytes(encode_firmware((Segment(0xC000, desk.data()),), path))
    assert desk.json("upload", path)["bytes"] == len(desk.data())
    assert desk.slots()[1] == (1, "2.0.0", "")


def test_test_reset_revert(desk: Desk) -> None:
    assert desk.json("upload", desk.image(), "--test")["marked"] == "test"
    assert desk.slots() == [RUNS_1, (1, "2.0.0", "pending")]
    desk.json("reset")
    assert desk.slots() == [(0, "2.0.0", "active"), (1, "1.0.0", "confirmed")]
    desk.json("reset")
    assert desk.slots() == [RUNS_1, (1, "2.0.0", "")]


def test_test_reset_confirm(desk: Desk) -> None:
    desk.json("upload", desk.image())
    desk.json("test")
    assert desk.json("reset")["images"][0]["version"] == "2.0.0"
    desk.json("confirm")
    desk.json("reset")
    assert desk.slots() == [RUNS_2, (1, "1.0.0", "")]


@pytest.mark.parametrize("encrypted", [False, True])
def test_upload_confirm_does_the_whole_job(desk: Desk, encrypted: bool) -> None:
    said = desk.json("upload", desk.image(encrypted=encrypted), "--confirm")
    assert (said["marked"], said["running"]) == ("permanent", True)
    assert desk.slots() == [RUNS_2, (1, "1.0.0", "")]
    again = desk.json("upload", desk.image(encrypted=encrypted), "--confirm")
    assert (again["bytes"], again["running"]) == (0, True)


def test_a_network_image_goes_the_same_way(desk: Desk) -> None:
    said = desk.json("upload", desk.image(Core.NET), "--confirm")
    assert (said["marked"], said["running"], said["proven"]) == ("permanent", False, True)
    assert desk.slots()[0] == RUNS_1
    assert desk.net_holds("2.0.0")
    shown = desk.call("upload", desk.image(Core.NET, version="3.0.0"), "--confirm").out
    assert "handed over to the network core" in shown
    assert "runs permanently" not in shown


def test_images_are_named_by_the_beginning_of_their_hash(desk: Desk) -> None:
    wanted = desk.json("upload", desk.image())["hash"]
    assert desk.json("test", wanted[:6].upper())["images"][1]["pending"]
    other = "0000" if wanted[0] == "f" else "ffff"
    refused = desk.call("test", other)
    assert refused.sentence == f"the device lists no image whose hash begins with {other}"
    assert "`smpdfu list` shows what it has" in refused.err


def test_confirm_of_an_image_that_does_not_run_warns(desk: Desk) -> None:
    wanted = desk.json("upload", desk.image())["hash"]
    done = desk.call("confirm", wanted)
    assert done.code == 0
    assert "warning: nobody has tested this image" in done.err
    assert desk.slots()[1] == (1, "2.0.0", "pending permanent")


def test_confirm_of_the_running_hash_is_confirm(desk: Desk) -> None:
    desk.json("upload", desk.image(), "--test")
    desk.json("reset")
    running = desk.json("list")["images"][0]["hash"]
    done = desk.call("confirm", running[:8])
    assert "warning" not in done.err
    assert desk.slots()[0] == RUNS_2


def test_the_fallback_of_a_trial_is_not_confirmed(desk: Desk) -> None:
    """The image that a revert would go back to: a device says yes, and does nothing."""
    desk.json("upload", desk.image(), "--test")
    desk.json("reset")
    before = desk.slots()
    refused = desk.call("confirm", desk.json("list")["images"][1]["hash"])
    assert refused.code == 6
    assert "it is the fallback, which the next reset brings back" in refused.sentence
    assert "`smpdfu reset` brings it back" in refused.err
    assert "no way back" not in refused.err
    assert desk.slots() == before


def test_test_without_a_candidate(desk: Desk) -> None:
    done = desk.call("test")
    assert done.refused(6) == "the device lists no image in a slot that does not run"
    assert "`smpdfu list` shows what it has" in done.err


@pytest.mark.parametrize("command", ["test", "confirm"])
@pytest.mark.parametrize("form", [base64.standard_b64encode, base64.urlsafe_b64encode], ids=["standard", "url"])
@pytest.mark.parametrize("padded", [True, False])
def test_a_hash_may_be_in_base64(desk: Desk, command: str, form: Callable[[bytes], bytes], padded: bool) -> None:
    wanted = form(bytes.fromhex(desk.json("upload", desk.image())["hash"])).decode()
    assert desk.call(command, wanted if padded else wanted.rstrip("=")).code == 0
    assert desk.slots()[1][2].startswith("pending")


def test_an_empty_hash_confirms_what_runs(desk: Desk) -> None:
    """As ``mcumgr image confirm ""`` does."""
    desk.json("upload", desk.image(), "--test")
    desk.json("reset")
    assert desk.call("image", "confirm", "").code == 0
    assert desk.slots()[0] == RUNS_2


@pytest.mark.parametrize("text", ["12", "xyzw", "0x", "", "Z" * 40, "Z" * 45])
def test_what_is_no_hash_is_a_usage_error(desk: Desk, text: str) -> None:
    assert desk.call("test", text).code == 2


def test_erase_by_image_and_slot(desk: Desk) -> None:
    desk.json("upload", desk.image())
    desk.json("erase", "--image", "0", "--slot", "1")
    assert desk.slots() == [RUNS_1]
    refused = desk.call("erase", "--slot", "0")
    assert (refused.code, "NO_FREE_SLOT (group 1, rc 9)" in refused.sentence) == (5, True)


def test_reset_need_not_wait(desk: Desk) -> None:
    assert desk.json("reset", "--no-wait") == {"reset": True}
    assert desk.slots() == [RUNS_1]


def test_echo(desk: Desk) -> None:
    assert desk.call("echo", "[red]grüße :x:").out == "[red]grüße :x:\n"
    assert desk.json("echo", "hi") == {"echo": "hi"}


@pytest.mark.parametrize("text", ["\x1b]0;mine\x07", "\x1b[31mred", "a\rb", "\x9b2J", "\x7f"])
def test_what_a_device_says_never_commands_the_terminal(desk: Desk, text: str) -> None:
    out = desk.call("echo", text).out
    assert "\ufffd" in out
    assert not set(out) & {"\x1b", "\x07", "\r", "\x9b", "\x7f"}
    assert desk.json("echo", text) == {"echo": text}


def test_info(desk: Desk) -> None:
    said = desk.json("info")
    assert said["platform"] == "nrf5340dk/nrf5340/cpuapp"
    assert said["bootloader"] == "MCUboot"
    assert said["bootloader_mode"] == "swap using move"
    assert said["slots"][1]["size_bytes"] == 0x7A000
    assert said["buf_size"] > 100
    out = desk.call("info").out
    assert "499712 bytes" in out
    assert "cortex-m33" in out


def test_mcumgrs_words_are_the_same_commands(desk: Desk) -> None:
    path = desk.image()
    assert desk.json("image", "upload", path, "-n", "0", "-t", "2")["image"] == 0
    assert desk.json("image", "list") == desk.json("list")
    assert desk.json("image", "erase")["images"][1:] == []
    desk.json("image", "upload", path)
    assert desk.json("image", "test")["images"][1]["pending"]
    desk.json("reset")
    assert desk.json("image", "confirm")["images"][0]["confirmed"]


# --- what is not accepted -------------------------------------------------------------------------------------------


def test_test_and_confirm_exclude_each_other(desk: Desk) -> None:
    assert desk.call("upload", desk.image(), "--test", "--confirm").code == 2


def test_an_image_that_would_not_start_is_not_booted(desk: Desk) -> None:
    path = desk.image(address=0x3000)
    refused = desk.call("upload", path, "--confirm")
    assert refused.code == 6
    assert "the device would not start with it, or its bootloader erases it; nothing was written." in refused.sentence
    assert desk.slots() == [RUNS_1]
    uploaded = desk.call("upload", path)
    assert (uploaded.code, uploaded.err.count("warning: ")) == (0, 1)


def test_force_goes_on_in_spite_of_a_finding(desk: Desk) -> None:
    path = desk.image()
    path.write_bytes(path.read_bytes() + b"\xff" * 64)
    assert desk.call("upload", path, "--confirm").code == 6
    assert desk.call("upload", path, "--confirm", "--force").code == 0
    assert desk.slots()[0] == RUNS_2


def test_an_encrypted_network_image_is_not_booted(desk: Desk) -> None:
    package = desk.package(encrypted=True)
    refused = desk.call("update", package)
    assert refused.code == 6
    assert "is encrypted, and the staged scheme cannot update the network core with it" in refused.sentence
    assert desk.slots() == [RUNS_1]


def test_the_wrong_key_is_seen_by_the_boot(desk: Desk, smpdfu: Call) -> None:
    from smpdfu.image.keys.keys import generate

    refused = desk.call("upload", desk.image(key=generate("ecdsa-p256")), "--confirm")
    assert refused.code == 7
    assert refused.sentence.startswith("the bootloader did not take app-2.0.0.bin and erased it")
    assert desk.slots()[0] == RUNS_1


def test_the_likely_cause_of_a_refusal_is_what_the_image_shows(desk: Desk, smpdfu: Call) -> None:
    """It never ran, so there is no log of it to look at."""
    raw = desk.folder / "raw.bin"
    raw.write_bytes(desk.data()[0x200:])
    unsigned, foreign = desk.folder / "unsigned.bin", desk.folder / "foreign.bin"
    key = desk.folder / "other.pem"
    assert smpdfu("keygen", "-t", "ecdsa-p256", "-k", key).code == 0
    trusted = desk.folder / "trusted.pem"
    trusted.write_bytes(desk.key.to_private_pem())
    usual = ("-v", "3.0.0", "-H", "0x200", "-S", "0x7a000", "--align", "4", "--pad-header", raw)
    assert smpdfu("sign", *usual, unsigned).code == 0
    assert smpdfu("sign", "-k", trusted, "-E", key, *usual, foreign).code == 0
    for file, cause in ((unsigned, "is not signed"), (foreign, "encrypted for another key than the device's")):
        refused = desk.call("upload", file, "--confirm", "--force")
        assert cause in refused.refused(7).partition("Likely cause: ")[2], refused
        assert "smpdfu verify FILE -k KEY" in refused.err
        assert "log" not in refused.err
    assert desk.slots() == [RUNS_1]


def test_a_slot_that_is_not_free(desk: Desk) -> None:
    desk.json("upload", desk.image(), "--test")
    refused = desk.call("upload", desk.image(version="3.0.0"))
    assert refused.code == 5
    assert "img upload: NO_FREE_SLOT" in refused.sentence
    assert desk.slots() == [RUNS_1, (1, "2.0.0", "pending")]


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--slot", "0"), "does not take uploads into slot 0"), (("-n", "1"), "no image 1; it has image 0 only")],
)
def test_slots_that_there_are_not(desk: Desk, options: tuple[str, ...], words: str) -> None:
    refused = desk.call("upload", desk.image(), *options)
    assert (refused.code, words in refused.sentence) == (6, True)


@pytest.mark.parametrize(
    ("image", "slot", "number"), [(0, None, 0), (0, 0, 1), (0, 1, 2), (1, 0, 3), (1, None, 1), (1, 1, 1)]
)
def test_the_number_that_leads_to_a_slot(image: int, slot: int | None, number: int) -> None:
    """A device that takes direct uploads tells it in its slot info; without one, the image's number is meant."""
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.decide.one_image import upload_number
    from smpdfu.smp.groups.image import SlotInfoImage, SlotInfoSlot

    ids: dict[tuple[int, int], int | None] = {(0, 0): 1, (0, 1): 2, (1, 0): 3, (1, 1): None}
    sizes = tuple(
        SlotInfoImage(
            image=one,
            slots=tuple(SlotInfoSlot(slot=two, size=4096, upload_image_id=ids[one, two]) for two in (0, 1)),
        )
        for one in (0, 1)
    )
    assert upload_number(DeviceState((), sizes), image, slot) == number


def test_a_file_larger_than_any_flash(desk: Desk) -> None:
    with (desk.folder / "large.bin").open("wb") as file:
        file.truncate((64 << 20) + 1)
    refused = desk.call("upload", desk.folder / "large.bin")
    assert (refused.code, "larger than any flash" in refused.sentence) == (3, True)


def bad_files(desk: Desk) -> dict[str, tuple[bytes, str]]:
    import io
    import zipfile

    def zipped(name: str, text: bytes) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr(name, text)
        return target.getvalue()

    secure = json.dumps({"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}}).encode()
    hexed = Path("x.hex")
    return {
        "nothing.bin": (b"", "is empty"),
        "text.bin": (b"hello " * 100, "is no image but: text"),
        "raw.bin": (desk.data()[0x200:], "is not signed for MCUboot"),
        "cut.bin": (desk.data()[:2000], "is not a whole MCUboot image"),
        "header.bin": (desk.data()[:32], "is not a whole MCUboot image"),
        "hex.bin": (encode_firmware((Segment(0, desk.data()[0x200:]),), hexed), "is not signed for MCUboot"),
        "bin.hex": (desk.data(), "is called .hex but is not Intel HEX"),
        "damaged.hex": (encode_firmware((Segment(0, desk.data()),), hexed).replace(b":10", b":1G", 1), "HEX"),
        "secure.zip": (zipped("manifest.json", secure), "Secure DFU"),
        "any.zip": (zipped("a.txt", b"1"), "zip"),
        "program.elf": (b"\x7fELF" + bytes(100), "ELF"),
    }


def test_bad_files(desk: Desk) -> None:
    for name, (data, words) in bad_files(desk).items():
        path = desk.folder / name
        path.write_bytes(data)
        refused = desk.call("upload", path)
        assert refused.code == 3, name
        assert words in refused.sentence, name
        assert desk.call("upload", path, "--json").code == 3
    assert desk.call("upload", desk.folder / "none.bin").code == 3
    assert desk.call("upload", desk.folder).code == 3
    packed = desk.call("upload", desk.package())
    assert (packed.code, "`smpdfu update " in packed.sentence) == (3, True)
    assert desk.slots() == [RUNS_1]


def test_an_error_is_one_json_document(desk: Desk) -> None:
    done = desk.call("upload", desk.folder / "none.bin", "--json")
    assert set(json.loads(done.out)["error"]) == {"kind", "message", "next", "exit_code"}
