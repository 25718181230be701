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
from tests.vectors.build_folders.kinds import APP, Kind
from tests.vectors.build_folders.layouts import NET_START
from tests.vectors.build_folders.package import Entry, write_zip
from tests.vectors.build_folders.signing import sign

# Hardware model v1: one word for a board, and the part number of its SoC.
_BOARDS = {"nrf5340dk": "nrf5340dk_nrf5340_cpuapp", "nrf52840dk": "nrf52840dk_nrf52840"}
_SOCS = {"nrf5340": "nRF5340_CPUAPP_QKAA", "nrf52840": "nRF52840_QIAA"}
_NET_BOARD, _NET_SOC = "nrf5340dk_nrf5340_cpunet", "nRF5340_CPUNET_QKAA"


def make(kind: Kind, path: Path, build: str) -> None:
    """Write the whole folder."""
    out = path / "zephyr"
    code = kind.layout.at("app").address
    write_pair(out / "zephyr", code, firmware(kind.firmware_name(APP), code))
    write_pair(path / "mcuboot" / "zephyr" / "zephyr", 0, firmware("mcuboot", 0, 0x2000))
    merge_hex(path / "mcuboot_primary_app.hex", out / "zephyr.hex")
    secondary = kind.layout.at("mcuboot_secondary").address
    slot_size = kind.layout.at("mcuboot_primary").size
    _sign(kind.version, out / "app", path / "mcuboot_primary_app.hex", slot_size, secondary - code + 0x200)
    merge_hex(out / "merged.hex", path / "mcuboot" / "zephyr" / "zephyr.hex", out / "app_signed.hex")
    if kind.net:
        _network(kind, path)
        # Signed by the same call but for the slot size: the network image has the application's version.
        signed_b0, slot = path / kind.net / "zephyr" / "signed_by_b0_app.hex", kind.layout.net_at("app")
        to_secondary = secondary - slot.address + 0x200
        _sign(kind.version, out / "net_core_app", signed_b0, slot.size, to_secondary)
        sources = [path / kind.net / part for part in ("b0n/zephyr/zephyr.hex", "zephyr/provision.hex")]
        merge_hex(path / kind.net / "zephyr" / "merged_CPUNET.hex", *sources, signed_b0)
        merge_hex(out / "merged_domains.hex", out / "merged.hex", path / kind.net / "zephyr" / "merged_CPUNET.hex")
    _texts(kind, path, build)
    _package(kind, out, code)


def _network(kind: Kind, path: Path) -> None:
    net, start = path / kind.net, kind.layout.net_at("app").address
    plain, sealed = sealed_pair(kind.firmware_name(kind.net), start, kind.firmware_version)
    write_pair(net / "zephyr" / "zephyr", start, plain)
    write_hex(net / "zephyr" / "signed_by_b0_app.hex", (start, sealed))
    write_pair(net / "b0n" / "zephyr" / "zephyr", NET_START, firmware("b0n", NET_START))
    area = kind.layout.net_at("provision").address
    write_hex(net / "zephyr" / "provision.hex", provision_data(area, start, numbered=kind.numbers_keys))


def _sign(version: str, prefix: Path, source: Path, slot_size: int, to_secondary: int) -> None:
    words = ["--key", str(SIGN_KEY), "--header-size", "0x200", "--align", "4", "--version", version, "--pad-header"]
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
    board, soc = _BOARDS[kind.chip.board], _SOCS[kind.chip.soc]
    words: configs.Values = {"CONFIG_BOARD": board, "CONFIG_SOC": soc}
    parts = texts.board_partitions(kind)
    app_tree = texts.devicetree(kind, parts.app, flash="flash0", code="slot0_partition")
    images = {"": (_application(kind) | words, app_tree), "mcuboot": (configs.mcuboot(kind) | words, app_tree)}
    # Since NCS 2.4 the parent writes domains.yaml for west flash: application and network core.
    lines = ["default: app", f"build_dir: {build}", "domains:", "- name: app", f"  build_dir: {build}"]
    if kind.net:
        net = configs.network(kind) | {"CONFIG_BOARD": _NET_BOARD, "CONFIG_SOC": _NET_SOC}
        net_tree = texts.devicetree(kind, parts.net, flash="flash1", code="slot0_partition", ram=0x2100_0000)
        images |= {kind.net: (net, net_tree)}
        images |= {f"{kind.net}/b0n": (net | {"CONFIG_IS_SECURE_BOOTLOADER": True}, net_tree)}
        lines += ["- name: CPUNET", f"  build_dir: {build}/{kind.net}"]
        (path / kind.net / "partitions_CPUNET.yml").write_text(texts.partitions_yml(kind.layout.net))
        (path / kind.net / "pm_CPUNET.config").write_text(texts.pm_config(kind.layout.net, NET_START))
        (path / "domains.yaml").write_text("\n".join(lines) + "\n")
    for folder, (config, tree) in images.items():
        out = path / folder / "zephyr"
        for gone in ("CONFIG_BOARD_TARGET", "CONFIG_BOARD_QUALIFIERS", "CONFIG_BOARD_REVISION"):  # hardware model v2
            config.pop(gone, None)
        (out / ".config").write_text(texts.kconfig(config))
        (out / "zephyr.dts").write_text(tree)
        texts.write_release(out, kind)
        own = f"{build}/{folder}".rstrip("/")
        files = ["config:", f"  hex_file: {own}/zephyr/zephyr.hex", f"  bin_file: {own}/zephyr/zephyr.bin"]
        (out / "runners.yaml").write_text("\n".join(files) + "\n")
    cache = ["CMAKE_PROJECT_NAME:STATIC=smp_app", f"BOARD:STRING={board}", "ZEPHYR_BASE:PATH=/home/user/ncs/zephyr"]
    (path / "CMakeCache.txt").write_text("\n".join([*cache, f"APPLICATION_BINARY_DIR:PATH={build}"]) + "\n")
    (path / "partitions.yml").write_text(texts.partitions_yml(kind.layout.app))
    (path / "pm.config").write_text(texts.pm_config(kind.layout.app))


def _application(kind: Kind) -> configs.Values:
    """The key is MCUboot's business (CONFIG_BOOT_SIGNATURE_KEY_FILE in its own .config); the version has two names."""
    values = configs.application(kind, kind.layout.at("mcuboot_primary"))
    values.pop("CONFIG_MCUBOOT_SIGNATURE_KEY_FILE")
    values |= {"CONFIG_MCUBOOT_IMAGE_VERSION": kind.version, "CONFIG_BOOT_SIGNATURE_KEY_FILE": ""}
    return values | ({"CONFIG_NRF53_UPGRADE_NETWORK_CORE": True} if kind.net else {})


def _package(kind: Kind, out: Path, code: int) -> None:
    shared = {"type": "application", "board": _BOARDS[kind.chip.board], "soc": _SOCS[kind.chip.soc]}
    version = {"version_MCUBOOT": kind.version}
    if not kind.net:  # one file: its values are not its own, and there are no numbers
        entries = [Entry("app_update.bin", out / "app_update.bin")]
        write_zip(out / "dfu_application.zip", {"load_address": hex(code)} | version | shared, entries, APP, 0)
        return
    app = {"load_address": hex(code), "image_index": "0", "slot_index_primary": "1", "slot_index_secondary": "2"}
    net = {"image_index": "1", "slot_index_primary": "3", "slot_index_secondary": "4"}
    net |= {
        "load_address": hex(kind.layout.net_at("app").address),
        "board": _NET_BOARD,
        "version": "1",
        "soc": _NET_SOC,
    }
    files = ("app_update.bin", "net_core_app_update.bin")
    entries = [Entry(file, out / file, values) for file, values in zip(files, (app | version, net), strict=True)]
    write_zip(out / "dfu_application.zip", shared, entries, APP, 0)
