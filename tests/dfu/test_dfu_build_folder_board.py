"""The board of a build folder: memory, bootloaders, keys and firmware, as its files say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.dfu.build_folder.board import Board, board_of
from smpdfu.dfu.build_folder.find import find_build
from smpdfu.errors import PackageError
from smpdfu.image.keys.keys import load_key
from smpdfu.loaders.releases import Partitions
from smpdfu.virtual.boot.build import AddressCheck, Entrance
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import Layout, Region
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from smpdfu.virtual.store.devices import Recipe
from tests.build_folders import built, change, copy_of, key_of, set_key
from tests.vectors.build_folders.firmware import ENCRYPT_KEY, SIGN_KEY
from tests.vectors.build_folders.kinds import NRF54L15, TABLE

PM_STAGED, DTS_STAGED, SIMULTANEOUS = (
    "ncs3.0-sysbuild-pm-staged",
    "ncs3.4-dts-staged",
    "ncs3.4-dts-simultaneous",
)
BOARDS = [kind for kind, one in TABLE.items() if one.chip is not NRF54L15]
APP, MCUBOOT = "smp_app/zephyr", "mcuboot/zephyr"


def board(folder: Path) -> Board:
    return board_of(find_build(folder))


def layout_of(found: Board) -> Layout:
    """As a virtual device reads it."""
    mode = None if found.mode is None else str(found.mode)
    return Recipe(found.name, partitions=found.partitions, mode=mode, net_app=found.net_app).make_layout()


def places(regions: tuple[Region, ...]) -> list[tuple[int, int]]:
    return [(region.start, region.size_bytes) for region in regions]


@pytest.mark.parametrize("kind", BOARDS)
def test_slots_are_those_of_the_build(kind: str) -> None:
    build = find_build(built(kind))
    found = board_of(build)
    layout = layout_of(found)
    app = build.updates[0].slot.value
    assert places((layout.primary,)) == [(app.address, app.size)]
    assert found.mode is BootMode(layout.mode)
    words = TABLE[kind]
    assert layout.network_image == (1 if words.simultaneous else None)
    assert layout.external_half == (words.split_number if words.split else None)
    assert found.ncs == words.ncs
    assert found.divided_by is (Partitions.DTS if words.style == "dts" else Partitions.PM)


@pytest.mark.parametrize("kind", BOARDS)
def test_firmware_is_that_of_the_build(kind: str) -> None:
    found, words = board(built(kind)), TABLE[kind]
    assert found.firmware.app is not None
    assert found.firmware.app.is_file()
    assert (found.firmware.net is not None) is bool(words.net)
    assert (found.firmware.external is not None) is words.split
    assert (found.firmware.loader is not None) is (words.mode == "FIRMWARE_UPDATER")


def test_memories_of_a_devicetree_with_external_flash_and_ram() -> None:
    layout = layout_of(board(built(SIMULTANEOUS)))
    assert [places(pair.places) for pair in layout.images] == [
        [(0x1_0000, 0xE_7000), (0x1000_0000, 0xE_7000)],
        [(0x2001_0000, 0x4_0000), (0x100E_7000, 0x4_0000)],
    ]
    assert places((layout.net.b0n, layout.net.provision, layout.net.app)) == [
        (0x100_0000, 0x2580),
        (0x100_2580, 0x280),
        (0x100_2800, 0x3_D800),
    ]
    assert layout.settings is not None
    assert layout.settings.start == 0xF_8000


def test_mcuboots_own_devicetree_decides(tmp_path: Path) -> None:
    folder = copy_of(DTS_STAGED, tmp_path / "build")
    change(folder / MCUBOOT / "zephyr.dts", "0x80000 0x70000", "0x80000 0x60000")
    assert layout_of(board(folder)).secondary.size_bytes == 0x6_0000


def test_external_flash_by_the_address_where_the_core_sees_it(tmp_path: Path) -> None:
    folder = copy_of("ncs3.0-sysbuild-pm-simultaneous", tmp_path / "build")
    table = folder / "partitions.yml"
    before = layout_of(board(folder))
    change(table, r"^(mcuboot_secondary:\n  address:) 0x0$", r"\1 0x10000000")
    assert layout_of(board(folder)).secondary == before.secondary


def test_nsib_is_below_mcuboot() -> None:
    layout = layout_of(board(built("ncs3.0-pm-mcuboot-update")))
    assert places((layout.mcuboot,)) == [(0x8000, 0xC000)]
    assert layout.nsib is not None
    assert places(layout.nsib.slots) == [(0x8000, 0xC000), (0x1_4000, 0xC000)]
    assert places((layout.nsib.b0, layout.nsib.provision)) == [(0x0, 0x8000), (0xFF_8100, 0x280)]
    assert layout.others == ()


# --- keys -----------------------------------------------------------------------------------------------------------


def test_keys_that_are_there_are_named() -> None:
    keys = board(built("ncs3.0-sysbuild-pm-staged-encrypted")).keys
    assert (keys.sign, keys.encryption, keys.net) == (SIGN_KEY, ENCRYPT_KEY, SIGN_KEY)
    assert (keys.signs, keys.encrypts, keys.built_in) == (True, True, None)


def test_keys_of_another_computer_are_not(tmp_path: Path) -> None:
    folder = copy_of("ncs3.0-sysbuild-pm-staged-encrypted", tmp_path / "build")
    for config in folder.rglob(".config"):
        config.write_text(config.read_text().replace(str(SIGN_KEY.parent), "/nowhere"))
    keys = board(folder).keys
    assert (keys.sign, keys.encryption, keys.net) == (None, None, None)
    assert keys.encrypts


@pytest.mark.parametrize("name", ["root-rsa-2048.pem", "${KEYS}/key.pem", "/dev/zero", "/proc/self", "a\0b"])
def test_what_is_no_key_file_is_not_opened(name: str, tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    for place in ("", APP, MCUBOOT):
        for key in ("SB_CONFIG_BOOT_SIGNATURE_KEY_FILE", "CONFIG_BOOT_SIGNATURE_KEY_FILE"):
            set_key(folder / place / ("" if place else "zephyr") / ".config", key, f'"{name}"'.replace("\0", "?"))
        config = folder / place / ("" if place else "zephyr") / ".config"
        set_key(config, "CONFIG_MCUBOOT_SIGNATURE_KEY_FILE", None)
    assert board(folder).keys.sign is None


def test_the_key_that_is_built_in_is_known(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    der = key_of(PM_STAGED).public.public_bytes
    text = f"const unsigned char ecdsa_pub_key[] = {{ {', '.join(f'0x{byte:02x}' for byte in der)} }};"
    (folder / MCUBOOT / "autogen-pubkey.c").write_text(text)
    found = board(folder).keys.built_in
    assert found is not None
    assert load_key(found.encode()).public.public_bytes == der


def test_the_key_that_a_build_makes_for_b0n(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    set_key(folder / "zephyr/.config", "SB_CONFIG_SECURE_BOOT_SIGNING_KEY_FILE", None)
    assert board(folder).keys.net is None
    for place in ("ipc_radio/zephyr", ""):
        made = folder / place / "GENERATED_NON_SECURE_SIGN_KEY_PRIVATE.pem"
        made.write_bytes(SIGN_KEY.read_bytes())
        assert board(folder).keys.net == made


# --- bootloaders and server -----------------------------------------------------------------------------------------


def test_options_of_the_bootloader(tmp_path: Path) -> None:
    folder = copy_of(DTS_STAGED, tmp_path / "build")
    plain = board(folder).options
    assert plain.check_address is AddressCheck.HEADER
    assert (plain.downgrade_prevention, plain.rollback_protection, plain.reads_net_version) == (False, False, False)
    config = folder / MCUBOOT / ".config"
    for key in ("MCUBOOT_DOWNGRADE_PREVENTION", "MCUBOOT_HW_DOWNGRADE_PREVENTION", "PCD_READ_NETCORE_APP_VERSION"):
        set_key(config, f"CONFIG_{key}", "y")
    found = board(folder).options
    assert found == replace(plain, downgrade_prevention=True, rollback_protection=True, reads_net_version=True)
    set_key(config, "CONFIG_MCUBOOT_DOWNGRADE_PREVENTION_SECURITY_COUNTER", "y")
    assert board(folder).options.by_counter


def test_serial_recovery_where_there_is_no_application() -> None:
    assert board(built("ncs3.0-pm-single-slot")).options.recovers
    assert not board(built(PM_STAGED)).options.recovers


def test_entrances_of_the_firmware_loader(tmp_path: Path) -> None:
    folder = copy_of("ncs3.4-dts-firmware-loader", tmp_path / "build")
    assert board(folder).options.entrances == tuple(Entrance)
    set_key(folder / MCUBOOT / ".config", "CONFIG_BOOT_FIRMWARE_LOADER_BOOT_MODE", "y")
    assert board(folder).options.entrances == (Entrance.BOOT_MODE,)


def test_the_server_of_the_application(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    plain = board(folder).server
    assert (plain.board, plain.buffers, plain.buffer_size) == ("nrf5340dk/nrf5340/cpuapp", None, None)
    config = folder / APP / ".config"
    set_key(config, "CONFIG_MCUMGR_TRANSPORT_NETBUF_COUNT", "6")
    set_key(config, "CONFIG_MCUMGR_TRANSPORT_NETBUF_SIZE", "2475")
    set_key(config, "CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_SECONDARY", "y")
    set_key(config, "CONFIG_MCUMGR_GRP_IMG_ALLOW_ERASE_PENDING", "y")
    set_key(config, "CONFIG_IMG_ERASE_PROGRESSIVELY", "y")
    found = board(folder).server
    assert (found.buffers, found.buffer_size, found.confirms_others) == (6, 2475, ConfirmsOthers.SECONDARY)
    assert (found.allow_erase_pending, found.erases_progressively) == (True, True)
    set_key(config, "CONFIG_MCUMGR_TRANSPORT_NETBUF_COUNT", "100000")
    set_key(config, "CONFIG_MCUMGR_TRANSPORT_NETBUF_SIZE", "0")
    assert (board(folder).server.buffers, board(folder).server.buffer_size) == (None, None)


# --- what is not said, or cannot be ---------------------------------------------------------------------------------


def test_pm_config_alone_does_not_tell_the_memories(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    (folder / "partitions.yml").unlink()
    assert board(folder).partitions is None
    assert board(folder).mode is BootMode.MOVE


def test_another_chip_is_refused() -> None:
    with pytest.raises(PackageError, match=r"nrf54l15.*is an nRF5340.*16 bytes") as caught:
        board(built("ncs3.4-nrf54l15-swap-offset"))
    assert caught.value.code == "build-other-chip"


def test_more_flash_than_the_chip_has_is_refused(tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    change(folder / "partitions.yml", r"^(mcuboot_secondary:(?:\n  .*)*\n  size:) 0x7a000$", r"\1 0x8a000")
    with pytest.raises(PackageError, match="its flash is larger: mcuboot_secondary") as caught:
        board(folder)
    assert caught.value.code == "build-other-chip"


@pytest.mark.parametrize("size", ["0x40000", "0x0"])
def test_a_network_core_that_cannot_be_is_refused(size: str, tmp_path: Path) -> None:
    folder = copy_of(PM_STAGED, tmp_path / "build")
    change(folder / "pm_CPUNET.config", "^PM_APP_SIZE=.*", f"PM_APP_SIZE={size}")
    change(folder / "pm_CPUNET.config", "^PM_IPC_RADIO_SIZE=.*", f"PM_IPC_RADIO_SIZE={size}")
    with pytest.raises(PackageError):
        board(folder)
