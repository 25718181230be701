"""Rebuilds the folder of a build with child images (NCS until 2.6): the application's outputs lie in ``zephyr/``.

Source: N modules/mcuboot/CMakeLists.txt of that time (function ``sign``) and N cmake/partition_manager.cmake.
"""

from __future__ import annotations

from pathlib import Path

from intelhex import IntelHex

from tests.vectors.build_folders import configs, texts
from tests.vectors.build_folders.firmware import (
    SIGN_KEY,
    firmware,
    merge_hex,
    provision_data,
    sealed_pair,
    write_hex,
    write_pair,
)
from tests.vectors.build_folders.kinds import APP, APP_VERSION, Kind
from tests.vectors.build_folders.layouts import NET_START
from tests.vectors.build_folders.package import Entry, write_zip
from tests.vectors.build_folders.signing import sign

_BOARD, _NET_BOARD = "nrf5340dk_nrf5340_cpuapp", "nrf5340dk_nrf5340_cpunet"  # hardware model v1: one word a board
_SOC, _NET_SOC = "nRF5340_CPUAPP_QKAA", "nRF5340_CPUNET_QKAA"


def make(kind: Kind, path: Path, build: str) -> None:
    """Write the whole folder."""
    out = path / "zephyr"
    code = kind.layout.at("app").address
    write_pair(out / "zephyr", code, firmware(APP, code))
    write_pair(path / "mcuboot" / "zephyr" / "zephyr", 0, firmware("mcuboot", 0, 0x2000))
    merge_hex(path / "mcuboot_primary_app.hex", out / "zephyr.hex")
    _network(kind, path)
    # Both images are signed by the same call but for the slot size; the network image has the application's version.
    net_slot = kind.layout.net_at("app")
    secondary = kind.layout.at("mcuboot_secondary").address
    _sign(
        out / "app", path / "mcuboot_primary_app.hex", kind.layout.at("mcuboot_primary").size, secondary - code + 0x200
    )
    signed_b0 = path / kind.net / "zephyr" / "signed_by_b0_app.hex"
    _sign(out / "net_core_app", signed_b0, net_slot.size, secondary - net_slot.address + 0x200)
    _texts(kind, path, build)
    merge_hex(out / "merged.hex", path / "mcuboot" / "zephyr" / "zephyr.hex", out / "app_signed.hex")
    sources = [path / kind.net / part for part in ("b0n/zephyr/zephyr.hex", "zephyr/provision.hex")]
    merge_hex(path / kind.net / "zephyr" / "merged_CPUNET.hex", *sources, signed_b0)
    merge_hex(out / "merged_domains.hex", out / "merged.hex", path / kind.net / "zephyr" / "merged_CPUNET.hex")
    _package(kind, out, code, net_slot.address)


def _network(kind: Kind, path: Path) -> None:
    net, start = path / kind.net, kind.layout.net_at("app").address
    plain, sealed = sealed_pair(kind.net, start)
    write_pair(net / "zephyr" / "zephyr", start, plain)
    write_hex(net / "zephyr" / "signed_by_b0_app.hex", (start, sealed))
    write_pair(net / "b0n" / "zephyr" / "zephyr", NET_START, firmware("b0n", NET_START))
    write_hex(net / "zephyr" / "provision.hex", (kind.layout.net_at("provision").address, provision_data(start)))


def _sign(prefix: Path, source: Path, slot_size: int, to_secondary: int) -> None:
    words = ["--key", str(SIGN_KEY), "--header-size", "0x200", "--align", "4", "--version", APP_VERSION, "--pad-header"]
    words += ["--slot-size", hex(slot_size)]
    named = {word: prefix.with_name(f"{prefix.name}_{word}") for word in ("signed.hex", "to_sign.bin", "update.bin")}
    test = prefix.with_name(f"{prefix.name}_test_update.hex")
    sign(words, source, named["signed.hex"])
    memory = IntelHex(str(source))
    named["to_sign.bin"].write_bytes(memory.tobinstr())
    sign(words, named["to_sign.bin"], named["update.bin"])
    sign([*words, "--pad"], source, test)
    moved = IntelHex()
    for start, end in IntelHex(str(test)).segments():
        moved.puts(start + to_secondary, IntelHex(str(test)).tobinstr(start=start, size=end - start))
    moved.write_hex_file(str(prefix.with_name(f"{prefix.name}_moved_test_update.hex")))


def _texts(kind: Kind, path: Path, build: str) -> None:
    board = texts.board_partitions(kind)
    app = configs.application(kind, kind.layout.at("mcuboot_primary"))
    for gone in ("CONFIG_BOARD_TARGET", "CONFIG_BOARD_QUALIFIERS", "CONFIG_MCUBOOT_SIGNATURE_KEY_FILE"):
        app.pop(gone)
    words = {"CONFIG_BOARD": _BOARD, "CONFIG_SOC": _SOC, "CONFIG_MCUBOOT_IMAGE_VERSION": APP_VERSION}
    app = {name: value for name, value in app.items() if name != "CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION"} | words
    app |= {"CONFIG_NRF53_UPGRADE_NETWORK_CORE": True, "CONFIG_BOOT_SIGNATURE_KEY_FILE": str(SIGN_KEY)}
    net = configs.network(kind) | {"CONFIG_BOARD": _NET_BOARD, "CONFIG_SOC": _NET_SOC}
    boot = configs.mcuboot(kind) | {"CONFIG_BOARD": _BOARD, "CONFIG_SOC": _SOC}
    trees = {
        code: texts.devicetree(kind, parts, flash=flash, code=code)
        for code, parts, flash in (("slot0_partition", board.app, "flash0"), ("boot_partition", board.net, "flash1"))
    }
    app_tree, net_tree = trees.values()
    for folder, config, tree in (
        ("", app, app_tree),
        ("mcuboot", boot, app_tree),
        (kind.net, net, net_tree),
        (f"{kind.net}/b0n", net | {"CONFIG_IS_SECURE_BOOTLOADER": True}, net_tree),
    ):
        out = path / folder / "zephyr"
        (out / ".config").write_text(texts.kconfig(config))
        (out / "zephyr.dts").write_text(tree)
        own = f"{build}/{folder}".rstrip("/")
        lines = ["config:", f"  hex_file: {own}/zephyr/zephyr.hex", f"  bin_file: {own}/zephyr/zephyr.bin"]
        (out / "runners.yaml").write_text("\n".join(lines) + "\n")
    cache = ["CMAKE_PROJECT_NAME:STATIC=smp_app", f"BOARD:STRING={_BOARD}", "ZEPHYR_BASE:PATH=/home/user/ncs/zephyr"]
    (path / "CMakeCache.txt").write_text("\n".join([*cache, f"APPLICATION_BINARY_DIR:PATH={build}"]) + "\n")
    # Since NCS 2.4 the parent writes domains.yaml for west flash: application and network core.
    lines = ["default: app", f"build_dir: {build}", "domains:", "- name: app", f"  build_dir: {build}"]
    lines += ["- name: CPUNET", f"  build_dir: {build}/{kind.net}"]
    (path / "domains.yaml").write_text("\n".join(lines) + "\n")
    (path / "partitions.yml").write_text(texts.partitions_yml(kind.layout.app))
    (path / "pm.config").write_text(texts.pm_config(kind.layout.app))
    (path / kind.net / "partitions_CPUNET.yml").write_text(texts.partitions_yml(kind.layout.net))
    (path / kind.net / "pm_CPUNET.config").write_text(texts.pm_config(kind.layout.net, NET_START))


def _package(kind: Kind, out: Path, code: int, net_code: int) -> None:
    app = {"load_address": hex(code), "image_index": "0", "slot_index_primary": "1", "slot_index_secondary": "2"}
    net = {"image_index": "1", "slot_index_primary": "3", "slot_index_secondary": "4", "load_address": hex(net_code)}
    net |= {"board": _NET_BOARD, "version": "1", "soc": _NET_SOC}
    entries = [
        Entry("app_update.bin", out / "app_update.bin", app | {"version_MCUBOOT": APP_VERSION}),
        Entry("net_core_app_update.bin", out / "net_core_app_update.bin", net),
    ]
    shared = {"type": "application", "board": _BOARD, "soc": _SOC}
    write_zip(out / "dfu_application.zip", shared, entries, APP, 0)
