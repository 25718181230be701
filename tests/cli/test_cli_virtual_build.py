"""``virtual new --build``: the board of a build folder; options win, and what the folder does not say is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.loaders.releases import LATEST
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from smpdfu.virtual.store.devices import list_devices, view_device
from smpdfu.virtual.store.names import home
from tests.build_folders import STAGED, built, copy_of, key_of, set_key
from tests.vectors.build_folders.firmware import SIGN_KEY

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

PM_STAGED, ENCRYPTED = "ncs3.0-sysbuild-pm-staged", "ncs3.0-sysbuild-pm-staged-encrypted"
MCUBOOT, APP = "mcuboot/zephyr/.config", "smp_app/zephyr/.config"


def stored() -> dict[str, Any]:
    """What the store has of the device."""
    found: dict[str, Any] = json.loads((home() / "desk" / "device.json").read_text())
    return found


def test_a_board_needs_nothing_but_its_folder(smpdfu: Call) -> None:
    made = smpdfu("virtual", "new", "desk", "--build", built(STAGED), "--json")
    assert made.code == 0, made.err
    shown = json.loads(made.out)
    assert (shown["ending"], shown["net_runs"], shown["mode"]) == ("runs", True, "swap-move")
    assert (shown["bootloader"], shown["partitions"], shown["address_check"]) == ("NCS 3.4.1", "dts", "header")
    assert [(one["address"], one["version"]) for one in shown["slots"]] == [(0x1_0000, "1.2.3+4"), (0x8_0000, None)]
    public = key_of(STAGED).public.to_pem().decode()
    assert (stored()["sign_keys"], stored()["net_keys"]) == ([public], [public])
    told = smpdfu("info", "--to", "virtual:desk", "--json")
    assert "nrf5340dk/nrf5340/cpuapp" in told.out


def test_the_table_names_the_build(smpdfu: Call) -> None:
    made = smpdfu("virtual", "new", "desk", "--build", built(STAGED))
    assert made.out.splitlines()[1].split() == ["layout", "smp_app,", "swap-move"]


def test_options_win(smpdfu: Call, keys: Keys) -> None:
    options: tuple[object, ...] = (
        "--ncs",
        "latest",
        "--mode",
        "overwrite-only",
        "--check-address",
        "none",
        "--net-key",
        keys.signing,
    )
    options += ("--buffers", "7", "--confirm-others", "any", "-k", keys.signing)
    made = smpdfu("virtual", "new", "desk", "--build", built(STAGED), *options)
    assert made.code == 0, made.err
    device = view_device("desk")
    assert (device.layout.mode, device.keys.options.loader.release) == (BootMode.OVERWRITE_ONLY, LATEST)
    assert device.resources.buffers.count == 7
    assert device.resources.confirms_others is ConfirmsOthers.ANY
    assert len(stored()["sign_keys"]) == 1
    assert stored()["sign_keys"] == stored()["net_keys"] != [key_of(STAGED).public.to_pem().decode()]


def test_a_layout_wins_over_the_partitions(smpdfu: Call) -> None:
    made = smpdfu("virtual", "new", "desk", "--build", built(PM_STAGED), "--layout", "nrf5340dk-staged", "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["layout"] == "nrf5340dk-staged"
    assert stored()["partitions"] is None


def test_other_firmware_wins(smpdfu: Call, tmp_path: Path) -> None:
    old = ("package", built(PM_STAGED), "-k", SIGN_KEY, "-v", "0.9.0", "-o", tmp_path / "old")
    assert smpdfu(*old).code == 0
    app = tmp_path / "old" / "smp_app.signed.bin"
    made = smpdfu("virtual", "new", "desk", "--build", built(PM_STAGED), "--app", app, "--json")
    assert json.loads(made.out)["slots"][0]["version"] == "0.9.0"


def test_the_network_cores_application_may_be_elsewhere(smpdfu: Call) -> None:
    smpdfu("virtual", "new", "desk", "--build", built("ncs3.4-dts-simultaneous"))
    assert view_device("desk").layout.net.app.start == 0x0100_2800
    assert smpdfu("virtual", "reset", "desk").code == 0
    assert json.loads(smpdfu("virtual", "show", "desk", "--json").out)["net_runs"] is True


def test_a_folder_without_signed_images_gives_a_board_without_firmware(smpdfu: Call, tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    (folder / "smp_app/zephyr/zephyr.signed.bin").unlink()
    made = smpdfu("virtual", "new", "desk", "--build", folder)
    assert made.code == 0, made.err
    assert "has no application" in made.out + made.err
    assert "trusts no key" not in made.out + made.err


def without(folder: Path, key: str) -> None:
    """Nothing in the folder sets this key, whatever its prefix."""
    for config in folder.rglob(".config"):
        for prefix in ("CONFIG_", "SB_CONFIG_", "CONFIG_MCUBOOT_"):
            set_key(config, prefix + key, None)


@pytest.mark.parametrize(
    ("kind", "gone", "options", "words"),
    [
        (PM_STAGED, "BOOT_SIGNATURE_KEY_FILE SIGNATURE_KEY_FILE", ("-k", SIGN_KEY), "Give -k KEY"),
        (ENCRYPTED, "BOOT_ENCRYPTION_KEY_FILE ENCRYPTION_KEY_FILE", ("--enc-key", SIGN_KEY), "Give --enc-key KEY"),
        (PM_STAGED, "partitions.yml", ("--layout", "nrf5340dk-staged"), "Give --layout FILE"),
        (
            PM_STAGED,
            "BOOT_SWAP_USING_MOVE BOOTLOADER_MODE_SWAP_USING_MOVE",
            ("--mode", "swap-move"),
            "Give --mode",
        ),
    ],
)
def test_what_is_not_said_is_asked_for(
    kind: str, gone: str, options: tuple[object, ...], words: str, smpdfu: Call, tmp_path: Path
) -> None:
    folder = copy_of(kind, tmp_path / "build")
    for one in gone.split():
        if one.endswith(".yml"):
            (folder / one).unlink()
        else:
            without(folder, one)
    refused = smpdfu("virtual", "new", "desk", "--build", folder)
    assert words in " ".join(refused.refused(2).split())
    assert not list_devices()
    made = smpdfu("virtual", "new", "desk", "--build", folder, *options)
    assert made.code == 0, made.err


def test_a_release_that_is_not_known_is_asked_for(smpdfu: Call, tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    for header in folder.rglob("ncs_version.h"):
        header.write_text('#define NCS_VERSION_STRING "9.1.0"\n')
    refused = smpdfu("virtual", "new", "desk", "--build", folder)
    assert "NCS 9.1 is not known here" in " ".join(refused.refused(2).split())
    assert smpdfu("virtual", "new", "desk", "--build", folder, "--ncs", "3.4.1").code == 0


def test_another_chip_is_refused(smpdfu: Call) -> None:
    refused = smpdfu("virtual", "new", "desk", "--build", built("ncs3.4-nrf54l15-swap-offset"))
    assert "the build is for nrf54l15, and a virtual device is an nRF5340" in refused.refused()
    assert not list_devices()


def test_what_is_no_build_folder_is_refused(smpdfu: Call, tmp_path: Path) -> None:
    assert "is no build folder" in smpdfu("virtual", "new", "desk", "--build", tmp_path).refused()


def test_a_demo_takes_no_build(smpdfu: Call) -> None:
    refused = smpdfu("virtual", "new", "desk", "--build", built(STAGED), "--demo")
    assert "Leave out --build" in refused.refused(2)


def test_a_device_from_before_is_read_as_it_was(smpdfu: Call) -> None:
    smpdfu("virtual", "new", "desk", "--build", built(STAGED))
    kept = home() / "desk" / "device.json"
    recipe = stored()
    del recipe["net_app"], recipe["resources"]["board"]
    kept.write_text(json.dumps(recipe))
    device = view_device("desk")
    assert device.layout.net.app.start == 0x0100_8800
    assert device.resources.board is None
