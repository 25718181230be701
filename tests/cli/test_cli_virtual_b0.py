"""``smpdfu virtual`` for a board with NSIB below MCUboot: made, shown, loaded, updated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intelhex import IntelHex

from smpdfu.dfu.build_folder.board import board_of
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.image.files import read_key_file
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate, load_private
from smpdfu.image.nrf5340 import OTP
from smpdfu.image.nsib.provision import FRONT_BYTES, key_hash, provision_for, version_value
from smpdfu.image.nsib.seal import raw_public_key
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.chip.layout import NRF5340DK_B0
from smpdfu.virtual.store.devices import view_device
from smpdfu.virtual.store.names import home
from smpdfu.virtual.store.sample_firmware import CORES, Core, mcuboot_image, stand_in
from tests.build_folders import built

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("--layout", "nrf5340dk-b0")
OWN_UPDATE = "ncs3.0-pm-mcuboot-update"
TO = ("--to", "virtual:desk")
CODE = NRF5340DK_B0.primary.start + 0x200


class Files:
    """An application, and MCUboot 2 for both slots: the key that signs also seals."""

    def __init__(self, keys: Keys, folder: Path) -> None:
        key = load_private(keys.signing.read_bytes())
        assert NRF5340DK_B0.nsib is not None
        spec = ImageSpec(Version(1), 0x200, 0, pad_header=True)
        core = Core("application", 0x0, CODE, CORES[0].ram_end)
        self.app = folder / "app.bin"
        self.app.write_bytes(build(spec, stand_in(core, 1), key).to_bytes())
        self.mcuboot = [folder / f"mcuboot-{slot.name}.bin" for slot in NRF5340DK_B0.nsib.slots]
        for path, slot in zip(self.mcuboot, NRF5340DK_B0.nsib.slots, strict=True):
            path.write_bytes(mcuboot_image(2, slot, key, key))


@pytest.fixture
def files(keys: Keys, tmp_path: Path) -> Files:
    return Files(keys, tmp_path)


def b0_of(smpdfu: Call) -> dict[str, object]:
    found: dict[str, object] = json.loads(smpdfu("virtual", "show", "desk", "--json").out)["b0"]
    return found


def flash() -> bytes:
    """The application core's."""
    return (home() / "desk" / "app.flash").read_bytes()


def running(smpdfu: Call) -> list[str]:
    slots = b0_of(smpdfu)["slots"]
    assert isinstance(slots, list)
    return [slot["name"] for slot in slots if slot["active"]]


def test_a_board_with_b0_updates_its_mcuboot(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu(
        "virtual", "new", "desk", *LAYOUT, "-k", keys.signing_public, "--b0-key", keys.signing, "--app", files.app
    )
    assert made.code == 0, made.err
    assert "MCUboot" in made.out
    assert running(smpdfu) == ["s0"]
    assert smpdfu("upload", files.mcuboot[1], "--test", "--force", *TO).code == 0
    assert smpdfu("virtual", "reset", "desk").code == 0
    assert running(smpdfu) == ["s1"]
    found = b0_of(smpdfu)
    assert (found["lowest_version"], found["counts_left"], found["error"]) == (2, 238, None)
    log = smpdfu("virtual", "log", "desk").out
    for line in ("Attempting to boot slot 1.", "I: Firmware signature verified.", "Firmware version 2"):
        assert line in log


@pytest.fixture
def desk(smpdfu: Call, keys: Keys, files: Files) -> None:
    words = ("-k", keys.signing_public, "--b0-key", keys.signing, "--app", files.app)
    assert smpdfu("virtual", "new", "desk", *LAYOUT, *words).code == 0


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("option", ["--test", "--confirm"])
def test_mcuboot_itself_is_installed_with_its_package_only(smpdfu: Call, files: Files, option: str) -> None:
    refused = smpdfu("upload", files.mcuboot[1], option, *TO)
    message = refused.refused(6)
    assert "is MCUboot itself" in message
    assert "othing was written" in message
    assert "smpdfu update dfu_mcuboot.zip" in refused.err
    assert len(json.loads(smpdfu("list", *TO, "--json").out)["images"]) == 1
    sent = smpdfu("upload", files.mcuboot[1], *TO)
    assert sent.code == 0
    assert "nothing brings the previous MCUboot back" in sent.err


@pytest.mark.usefixtures("desk")
def test_an_upload_of_mcuboot_has_the_findings_of_an_update(smpdfu: Call, keys: Keys, files: Files) -> None:
    before = flash()
    stranger = files.app.with_name("stranger.pub.pem")
    stranger.write_bytes(generate("ecdsa-p256").public.to_pem())
    refused = smpdfu("upload", files.mcuboot[1], "--b0-key", stranger, *TO)
    assert "b0 does not have" in refused.refused(6)
    assert flash() == before
    sent = smpdfu("upload", files.mcuboot[1], "--b0-key", keys.signing_public, *TO)
    assert (sent.code, "did not check whether b0" in sent.err) == (0, False)
    sent = smpdfu("upload", files.mcuboot[1], *TO)
    assert (sent.code, "did not check whether b0 trusts" in " ".join(sent.err.split())) == (0, True)


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(("lowest", "code"), [(2, 0), (3, 6)])
def test_the_counter_of_a_dump_is_compared(smpdfu: Call, keys: Keys, files: Files, lowest: int, code: int) -> None:
    """MCUboot 2, and a device whose b0 counted up to this version."""
    key = load_private(keys.signing.read_bytes()).public
    data = provision_for(0x8000, 0x14000, [key], counter_slots=4)
    counted = replace(data.counters[0], values=(version_value(1, 0), version_value(lowest, 1)))
    memory = IntelHex()
    memory.puts(OTP.start + FRONT_BYTES, replace(data, counters=(counted,)).to_bytes())
    dump = files.app.with_name("dump.hex")
    memory.write_hex_file(str(dump))
    out = files.app.with_name("out")
    packed = smpdfu("package", "--mcuboot", files.mcuboot[0], "--mcuboot-s1", files.mcuboot[1], "-o", out)
    assert packed.code == 0, packed.err
    package = out / "dfu_mcuboot.zip"
    said = f"its firmware version 2 is below {lowest}, the lowest that b0's monotonic counter lets start"
    planned = smpdfu("update", package, "--plan", "--json", "--b0-key", dump, *TO)
    assert planned.code == code, planned.err
    errors = [one for one in json.loads(planned.out)["findings"] if one["severity"] == "error"]
    assert [one["code"] for one in errors] == ["mcuboot-version"] * (code > 0)
    assert (said in planned.out) == (code > 0)
    assert smpdfu("upload", files.mcuboot[1], "--b0-key", dump, *TO).code == code
    verified = smpdfu("verify", package, "-k", keys.signing_public, "--b0-key", dump, "--json")
    assert (verified.code, said in verified.out) == (3 if code else 0, code > 0)


def test_mcuboot_that_would_stay_in_the_slot_is_not_uploaded(smpdfu: Call, keys: Keys, files: Files) -> None:
    words = ("-k", keys.signing_public, "--b0-key", keys.signing, "--app", files.app, "--mode", "swap-offset")
    assert smpdfu("virtual", "new", "desk", *LAYOUT, *words).code == 0
    refused = smpdfu("upload", files.mcuboot[1], *TO)
    assert "swaps using an offset" in refused.refused(6)
    assert smpdfu("upload", files.mcuboot[1], "--force", *TO).code == 0


def test_mcuboot_that_a_device_without_b0_gets_has_a_warning(
    smpdfu: Call, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert smpdfu("virtual", "new", "desk", "--demo").code == 0
    sent = smpdfu("upload", files.mcuboot[1], *TO)
    assert "if it has no b0 (NSIB)" in " ".join(sent.err.split()), sent.err


@pytest.mark.usefixtures("desk")
def test_mcuboot_is_not_written_over_the_application(smpdfu: Call, files: Files) -> None:
    assert smpdfu("reset", *TO, "--boot-mode", 1, "--no-wait").code == 0
    before = flash()
    refused = smpdfu("upload", files.mcuboot[1], "--recovery", *TO)
    assert "has no steps that install it" in refused.refused(6)
    assert flash() == before


@pytest.mark.usefixtures("desk")
def test_reset_says_that_mcuboot_was_copied(smpdfu: Call, files: Files) -> None:
    forced = smpdfu("upload", files.mcuboot[1], "--test", "--force", *TO)
    assert "nothing brings the previous MCUboot back" in forced.err
    done = smpdfu("reset", *TO, "--json")
    assert done.code == 0, done.err
    assert [one["became"] for one in json.loads(done.out)["outcomes"]] == ["taken"]
    assert "MCUboot copied it into its own slot 1" in done.out
    assert running(smpdfu) == ["s1"]


@pytest.mark.usefixtures("desk")
def test_reset_does_not_claim_what_it_cannot_know(smpdfu: Call, keys: Keys, files: Files) -> None:
    """A MCUboot that is not newer is copied, too, and an application that is refused looks the same."""
    key = load_private(keys.signing.read_bytes())
    assert NRF5340DK_B0.nsib is not None
    files.mcuboot[1].write_bytes(mcuboot_image(1, NRF5340DK_B0.nsib.slots[1], key, key))
    assert smpdfu("upload", files.mcuboot[1], "--test", "--force", *TO).code == 0
    done = smpdfu("reset", *TO)
    assert "Or it was MCUboot itself" in done.refused(7)
    assert "Nothing needs repair" not in done.err
    assert "smpdfu os bootloader" in done.err


@pytest.mark.usefixtures("desk")
def test_a_forced_installation_does_not_say_that_mcuboot_was_refused(smpdfu: Call, files: Files) -> None:
    done = smpdfu("upload", files.mcuboot[1], "--confirm", "--force", *TO)
    message = done.refused(7)
    assert "MCUboot copied it into its own slot, or erased it" in message
    assert "Nothing needs repair" not in done.err


def test_inspect_advises_the_package_of_mcuboot(smpdfu: Call, files: Files) -> None:
    said = json.loads(smpdfu("inspect", files.mcuboot[1], "--json").out)["advice"]
    assert "smpdfu update dfu_mcuboot.zip" in said
    assert "--confirm" not in said
    assert "upload FILE --confirm" in json.loads(smpdfu("inspect", files.app, "--json").out)["advice"]


def test_mcuboot_of_a_file_is_loaded_where_it_is_linked_for(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu(
        "virtual",
        "new",
        "desk",
        *LAYOUT,
        "-k",
        keys.signing_public,
        "--b0-key",
        keys.signing_public,
        "--mcuboot",
        files.mcuboot[1],
        "--app",
        files.app,
    )
    assert made.code == 0, made.err
    assert running(smpdfu) == ["s1"]
    assert smpdfu("virtual", "load", "desk", files.mcuboot[0]).code == 0
    assert running(smpdfu) == ["s0"]


def test_a_board_whose_mcuboot_is_gone_says_so(smpdfu: Call, keys: Keys, files: Files) -> None:
    assert smpdfu("virtual", "new", "desk", *LAYOUT, "-k", keys.signing_public, "--app", files.app).code == 0
    blank = files.app.with_name("blank.bin")
    blank.write_bytes(b"\xff" * 64)
    assert smpdfu("virtual", "load", "desk", blank, "--region", "s0").code == 0
    shown = smpdfu("virtual", "show", "desk")
    assert "b0 found no MCUboot that it can start" in shown.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layout", "nrf5340dk-staged", "--b0-counter-slots", 2), "has no b0"),
        ((*LAYOUT, "--b0-counter-slots", 3), "is even"),
        ((*LAYOUT, "--demo", "--b0-counter-slots", 2), "without b0"),
        ((*LAYOUT, "--ncs", "upstream"), "cannot be started by b0"),
    ],
)
def test_options_that_do_not_fit(smpdfu: Call, options: tuple[object, ...], words: str) -> None:
    made = smpdfu("virtual", "new", "desk", *options)
    assert (made.code, words in " ".join(made.err.split())) == (2, True), made.err


def test_a_public_key_seals_no_sample(smpdfu: Call, keys: Keys) -> None:
    made = smpdfu("virtual", "new", "desk", *LAYOUT, "--b0-key", keys.signing_public)
    assert (made.code, "public key" in made.err) == (2, True)
    assert smpdfu("virtual", "show", "desk").code != 0


def test_a_file_that_is_no_mcuboot_makes_no_board(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu("virtual", "new", "desk", *LAYOUT, "--b0-key", keys.signing, "--mcuboot", files.app)
    assert made.code != 0
    assert "no MCUboot for S0 or S1" in made.err
    assert smpdfu("virtual", "show", "desk").code != 0


def test_the_board_of_a_build_with_nsib_has_b0(smpdfu: Call) -> None:
    """Its key is the one that the build seals with, and MCUboot the one that it made."""
    made = smpdfu("virtual", "new", "desk", "--build", built(OWN_UPDATE), "--json")
    assert made.code == 0, made.err
    shown = json.loads(made.out)
    assert (shown["ending"], running(smpdfu)) == ("runs", ["s0"])
    board = board_of(find_build(built(OWN_UPDATE)))
    assert board.keys.b0 is not None
    assert board.firmware.mcuboot is not None
    key = raw_public_key(read_key_file(board.keys.b0).public)
    assert [one["hash"] for one in shown["b0"]["keys"]] == [key_hash(key).hex()]
    device = view_device("desk")
    assert device.b0 is not None
    image = board.firmware.mcuboot.read_bytes()
    assert device.b0.slots[0].read(0, len(image)) == image


def test_provision_make_writes_what_the_build_has(smpdfu: Call, tmp_path: Path) -> None:
    """S0 and S1 begin with the room for MCUboot's header, as PM_S0_ADDRESS and PM_S1_ADDRESS have it."""
    build = built(OWN_UPDATE)
    key = board_of(find_build(build)).keys.b0
    made = tmp_path / "provision.hex"
    places = ("--address", "0xff8100", "--s0", "0x8000", "--s1", "0x14000")
    assert smpdfu("provision", "make", "-o", made, *places, "-k", key).code == 0
    assert IntelHex(str(made)).todict() == IntelHex(str(build / "app_provision.hex")).todict()


def test_options_for_b0_win_over_the_build(smpdfu: Call, keys: Keys, files: Files) -> None:
    made = smpdfu(
        "virtual",
        "new",
        "desk",
        "--build",
        built(OWN_UPDATE),
        "--b0-key",
        keys.signing_public,
        "--mcuboot",
        files.mcuboot[1],
    )
    assert made.code == 0, made.err
    assert running(smpdfu) == ["s1"]


def test_a_device_from_before_b0_was_modelled_has_none(smpdfu: Call) -> None:
    assert smpdfu("virtual", "new", "desk", "--build", built(OWN_UPDATE)).code == 0
    stored = home() / "desk" / "device.json"
    found = json.loads(stored.read_text())
    assert found.pop("with_nsib") is True
    stored.write_text(json.dumps(found))
    shown = json.loads(smpdfu("virtual", "show", "desk", "--json").out)
    assert (shown["b0"], shown["ending"]) == (None, "runs")
    assert smpdfu("virtual", "reset", "desk").code == 0
    assert json.loads(smpdfu("virtual", "show", "desk", "--json").out)["ending"] == "runs"


def test_what_is_not_modelled_of_a_table_with_nsib_is_a_device_without_b0(smpdfu: Call, keys: Keys) -> None:
    made = smpdfu("virtual", "new", "desk", "--build", built(OWN_UPDATE), "--ncs", "upstream", "--json")
    assert (made.code, json.loads(made.out)["b0"]) == (0, None)
