"""Rebuilds the folder of a sysbuild build (NCS 2.7 and later), with Partition Manager or with devicetree partitions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.vectors.build_folders import configs, texts
from tests.vectors.build_folders.firmware import (
    APP_RAM_END,
    firmware,
    merge_hex,
    provision_data,
    sealed_pair,
    write_hex,
    write_pair,
)
from tests.vectors.build_folders.kinds import APP, Kind
from tests.vectors.build_folders.layouts import NET_START, XIP_START, Part
from tests.vectors.build_folders.package import Entry, write_multi_image, write_zip
from tests.vectors.build_folders.signing import (
    NETWORK_VERSION,
    key_arguments,
    sign,
    sign_all,
    sign_sealed,
    slot_arguments,
)

_RAM_LOAD_ADDRESS = 0x2002_0000  # above the RAM that MCUboot itself runs in
_ZEPHYR = {"2.7.0": "3.6.99", "3.0.2": "4.0.99", "3.4.1": "4.4.0"}  # Z VERSION of each release of N


@dataclass(frozen=True)
class Folder:
    """The folder that is made, and ``build``, its path as the build system wrote it into files."""

    kind: Kind
    path: Path
    build: str

    def image(self, name: str) -> Path:
        """The folder of an image's outputs."""
        return self.path / name / "zephyr"

    def write_image(self, name: str, config: configs.Values, dts: str, hex_file: str = "") -> None:
        """Write what each image has: ``.config``, ``zephyr.dts``, ``runners.yaml``, ``CMakeCache.txt``."""
        out = self.image(name)
        out.mkdir(parents=True, exist_ok=True)
        (out / ".config").write_text(texts.kconfig(config))
        (out / "zephyr.dts").write_text(dts)
        texts.write_release(out, self.kind)
        own = "zephyr"  # beside this file; PM and signing replace them by paths
        files = {"elf_file": f"{own}.elf", "hex_file": hex_file or f"{own}.hex", "bin_file": f"{own}.bin"}
        lines = [
            "runners:",
            "- nrfutil",
            "",
            "flash-runner: nrfutil",
            "",
            "config:",
            "  board_dir: /home/user/ncs/board",
        ]
        (out / "runners.yaml").write_text(
            "\n".join([*lines, *(f"  {key}: {one}" for key, one in files.items())]) + "\n"
        )
        cache = ["ZEPHYR_BASE:PATH=/home/user/ncs/zephyr", f"IMAGE_NAME:STRING={name}", "SYSBUILD:BOOL=ON"]
        cache += [f"BOARD:STRING={config['CONFIG_BOARD_TARGET']}", f"APPLICATION_BINARY_DIR:PATH={self.build}/{name}"]
        (self.path / name / "CMakeCache.txt").write_text("\n".join(cache) + "\n")


def make(kind: Kind, path: Path, build: str) -> None:
    """Write the whole folder."""
    folder = Folder(kind, path, build)
    path.mkdir(parents=True, exist_ok=True)
    _bootloader(folder)
    entries = _split_application(folder) if kind.split else _application(folder)
    if kind.net:
        entries.append(_network(folder))
    own = _mcuboot_update(folder) if kind.own_update else []
    _sysbuild_files(folder)
    if kind.style == "pm":
        _partition_manager(folder)
    # Board and SoC of all files are the default image's CONFIG_BOARD and CONFIG_SOC (N cmake/fw_zip.cmake).
    shared = {"type": "application", "board": kind.chip.board, "soc": kind.chip.soc}
    write_zip(path / "dfu_application.zip", shared, entries, APP, 1)
    if kind.multi_image:
        # N subsys/bootloader/cmake/packaging.cmake: MCUboot's two files have the numbers -2 and -1, for S0 and S1.
        images = [*enumerate(entry.source for entry in entries), *zip((-2, -1), own, strict=False)]
        write_multi_image(path / "dfu_multi_image.bin", images)


def _app_dts(kind: Kind, code: str, ram: int = 0x2000_0000) -> str:
    parts = kind.layout.app if kind.style == "dts" else texts.board_partitions(kind).app
    return texts.devicetree(kind, parts, flash=kind.chip.flash_node, code=code, ram=ram)


def _bootloader(folder: Folder) -> None:
    kind = folder.kind
    if not kind.own_update:
        write_pair(folder.image("mcuboot") / "zephyr", 0, firmware("mcuboot", 0, 0x2000))
    folder.write_image("mcuboot", configs.mcuboot(kind), _app_dts(kind, "boot_partition"))


def _slot(kind: Kind, number: int) -> Part:
    if kind.style == "dts":
        return kind.layout.at(f"slot{number}_partition")
    return kind.layout.at("mcuboot_secondary" if number else "mcuboot_primary")


def _is_fixed(kind: Kind) -> bool:
    # N image_signing.cmake: the header has the address in direct-XIP builds, and where 3.4's loader matches addresses.
    return kind.direct_xip or (kind.style == "dts" and bool(kind.net))


def _application(folder: Folder) -> list[Entry]:
    kind, app = folder.kind, folder.kind.layout
    if kind.mode == "RAM_LOAD":
        return _ram_load(folder)
    slots = _slot_values(0)
    if kind.direct_xip:
        return _direct_xip(folder)
    _image(folder, APP, _slot(kind, 0), fixed=_is_fixed(kind))
    if kind.mode == "FIRMWARE_UPDATER":
        # N image_signing_firmware_loader.cmake: slot 1, and its address in the header.
        slot1 = _slot(kind, 1)
        _image(folder, "ble_mcumgr", slot1, fixed=True, config=configs.application(kind, slot1, loader=True))
    signed = "zephyr.signed.encrypted.bin" if kind.encrypted else "zephyr.signed.bin"
    name = f"{APP}.bin" if kind.ncs < "2.8" else signed.replace("zephyr", APP)  # 2.7 still had the short name
    load = app.at("app") if kind.style == "pm" else app.at("slot0_partition")
    source = folder.image(APP) / signed
    return [Entry(name, source, {"load_address": hex(load.address), **slots, "version_MCUBOOT": kind.version})]


def _slot_values(number: int) -> dict[str, str]:
    # zip.cmake: slots are counted from 1 through all images.
    primary, secondary = str(2 * number + 1), str(2 * number + 2)
    return {"image_index": str(number), "slot_index_primary": primary, "slot_index_secondary": secondary}


def _image(
    folder: Folder,
    name: str,
    slot: Part,
    *,
    fixed: bool,
    config: configs.Values | None = None,
    code: str = "slot0_partition",
) -> None:
    kind, out = folder.kind, folder.image(name)
    header = kind.chip.header
    if kind.tfm:
        _with_tfm(folder, out)
    elif kind.style == "dts":  # the firmware leaves CONFIG_ROM_START_OFFSET bytes of zeros for the header
        write_pair(
            out / "zephyr", slot.address, bytes(header) + firmware(kind.firmware_name(name), slot.address + header)
        )
    else:
        write_pair(out / "zephyr", slot.address + header, firmware(kind.firmware_name(name), slot.address + header))
    source = out / ("tfm_merged" if kind.tfm else "zephyr")
    confirmed = kind.mode == "DIRECT_XIP_WITH_REVERT"
    sign_all(kind, slot_arguments(kind, slot, fixed=fixed), source, encrypted=kind.encrypted, confirmed=confirmed)
    runs = f"{folder.build}/{name}/zephyr/zephyr.signed.hex" if kind.style == "dts" else f"{folder.build}/merged.hex"
    folder.write_image(name, config or configs.application(kind, slot), _app_dts(kind, code), runs)


def _with_tfm(folder: Folder, out: Path) -> None:
    # N and Z modules/trusted-firmware-m: TF-M first, the non-secure application behind it; merged as hex only.
    secure, app = (folder.kind.layout.at(name) for name in ("tfm", "app"))
    write_pair(out / "zephyr", app.address, firmware(folder.kind.firmware_name(APP), app.address))
    write_pair(out.parent / "tfm" / "bin" / "tfm_s", secure.address, firmware("tfm", secure.address))
    merge_hex(out / "tfm_merged.hex", out.parent / "tfm" / "bin" / "tfm_s.hex", out / "zephyr.hex")


def _direct_xip(folder: Folder) -> list[Entry]:
    # N sysbuild/secondary.cmake: the second build of the application has another name with and without PM.
    kind = folder.kind
    second = "mcuboot_secondary_app" if kind.style == "pm" else f"{APP}_slot1_variant"
    entries = []
    for number, name in enumerate((APP, second)):
        slot = _slot(kind, number)
        config = configs.application(kind, slot, variant=bool(number))
        _image(folder, name, slot, fixed=True, config=config, code=f"slot{number}_partition")
        load = slot.address + kind.chip.header if kind.style == "pm" else slot.address
        values = {
            "load_address": hex(load),
            "version_MCUBOOT+XIP": kind.version,
            "image_index": "0",
            "slot": str(number),
        }
        entries.append(Entry(f"{name}.signed.bin", folder.image(name) / "zephyr.signed.bin", values))
    return entries


def _ram_load(folder: Folder) -> list[Entry]:
    # Z cmake/mcuboot.cmake: linked for RAM; the same file goes into both slots, each with a hex of its own.
    kind, out = folder.kind, folder.image(APP)
    code = firmware(kind.firmware_name(APP), _RAM_LOAD_ADDRESS + kind.chip.header)
    write_pair(out / "zephyr", _RAM_LOAD_ADDRESS, bytes(kind.chip.header) + code)
    for number, middle in enumerate(("", ".slot1")):
        slot = _slot(kind, number)
        words = ["--version", kind.version, "--header-size", hex(kind.chip.header), "--slot-size", hex(slot.size)]
        words += ["--align", "1", "--load-addr", hex(_RAM_LOAD_ADDRESS), "--hex-addr", hex(slot.address)]
        for suffix in ("bin", "hex"):
            target = out / f"zephyr{middle}.signed.{suffix}"
            sign([*words, *key_arguments(kind)], out / f"zephyr.{suffix}", target)
    slot = _slot(kind, 0)
    folder.write_image(
        APP,
        configs.application(kind, slot) | {"CONFIG_XIP": False, "CONFIG_FLASH_SIZE": 0},
        _app_dts(kind, "slot0_partition", _RAM_LOAD_ADDRESS),
        f"{folder.build}/{APP}/zephyr/zephyr.signed.hex",
    )
    values = {"load_address": hex(slot.address), **_slot_values(0), "version_MCUBOOT": kind.version}
    return [Entry(f"{APP}.signed.bin", out / "zephyr.signed.bin", values)]


def _split_application(folder: Folder) -> list[Entry]:
    # N image_signing_split.cmake: the elf is parted into two hex files, each signed for its slot; no zephyr.bin that
    # would reach from flash to QSPI. The external half has no vector table.
    kind, out, number = folder.kind, folder.image(APP), folder.kind.split_number
    app, pieces, entries = kind.layout.at("app"), {}, []
    external = kind.layout.at(f"mcuboot_primary_{number}_app")
    pieces["internal"] = (
        0,
        app.address,
        firmware(kind.firmware_name(APP), app.address),
        kind.layout.at("mcuboot_primary"),
    )
    outside = firmware(kind.firmware_name("external half"), 0)[0x100:]
    pieces["external"] = (number, external.address, outside, kind.layout.at(f"mcuboot_primary_{number}"))
    for half, (image, address, code, slot) in pieces.items():
        linked = address + (XIP_START if half == "external" else 0)
        write_hex(out / f"zephyr.{half}.hex", (linked, code))
        sign_all(kind, slot_arguments(kind, slot, fixed=False), out / f"zephyr.{half}", encrypted=False)
        values = {"load_address": hex(address), **_slot_values(image), "version_MCUBOOT": kind.version}
        entries.append(Entry(f"{APP}.{half}.bin", out / f"zephyr.{half}.signed.bin", values))
    merge_hex(out / "zephyr.hex", out / "zephyr.internal.hex", out / "zephyr.external.hex")
    merge_hex(out / "zephyr.signed.hex", out / "zephyr.internal.signed.hex", out / "zephyr.external.signed.hex")
    config = configs.application(kind, kind.layout.at("mcuboot_primary"))
    folder.write_image(APP, config, _app_dts(kind, "slot0_partition"), f"{folder.build}/merged.hex")
    return entries


def _network(folder: Folder) -> Entry:
    kind, net = folder.kind, folder.kind.net
    dts = kind.style == "dts"
    slot = kind.layout.net_at("s0_partition" if dts else net)
    plain, sealed = sealed_pair(kind.firmware_name(net), slot.address, kind.firmware_version)
    write_pair(folder.image(net) / "zephyr", slot.address, plain)
    write_pair(folder.path / f"signed_by_b0_{net}", slot.address, sealed)
    sign_sealed(kind, slot, folder.path / f"signed_by_b0_{net}", folder.path / f"signed_by_mcuboot_and_b0_{net}")
    write_pair(folder.image("b0n") / "zephyr", NET_START, firmware("b0n", NET_START))
    area = kind.layout.net_at("provision_partition" if dts else "provision").address
    provision = provision_data(area, slot.address, numbered=kind.numbers_keys)
    write_hex(folder.path / "net_provision.hex", provision)
    parts = kind.layout.net if dts else texts.board_partitions(kind).net
    for name, code in (
        (net, "s0_partition" if dts else "slot0_partition"),
        ("b0n", "b0n_partition" if dts else "boot_partition"),
    ):
        tree = texts.devicetree(kind, parts, flash="flash1", code=code, ram=0x2100_0000)
        runs = "" if dts or name == "b0n" else f"{folder.build}/merged_CPUNET.hex"
        folder.write_image(name, configs.network(kind, bootloader=name == "b0n"), tree, runs)
    # zip.cmake: with devicetree partitions it takes slot2_partition, which is the slot in RAM. The network entry has
    # the whole board target of its image, and the SoC of the board that sysbuild was called for.
    load = kind.layout.at("slot2_partition") if dts else slot
    values = {**_slot_values(1), "load_address": hex(load.address), "version": "1"}
    values |= {"board": f"{kind.chip.board}/nrf5340/cpunet", "soc": kind.chip.soc}
    return Entry(f"{net}.bin", folder.path / f"signed_by_mcuboot_and_b0_{net}.bin", values)


def _mcuboot_update(folder: Folder) -> list[Path]:
    # N b0_mcuboot_signing.cmake: sealed for b0, then signed for MCUboot, which takes it by its address for S0 or S1.
    kind, at = folder.kind, folder.kind.layout.at
    write_pair(folder.image("b0") / "zephyr", 0, firmware("b0", 0))
    folder.write_image("b0", configs.b0(kind), _app_dts(kind, "boot_partition"))
    folder.write_image("s1_image", configs.mcuboot(kind), _app_dts(kind, "boot_partition"))
    entries = []
    for number, (name, inner) in enumerate((("mcuboot", "mcuboot"), ("s1_image", "s1_image"))):
        plain, sealed = sealed_pair(name, at(inner).address, kind.firmware_version, APP_RAM_END)
        write_pair(folder.image(name) / "zephyr", at(inner).address, plain)
        write_pair(folder.path / f"signed_by_b0_{name}", at(inner).address, sealed)
        output = folder.path / f"signed_by_mcuboot_and_b0_{name}"
        sign_sealed(kind, at(inner), folder.path / f"signed_by_b0_{name}", output)
        values = {"load_address": hex(at(f"s{number}").address), "slot": str(number)}
        entries.append(Entry(f"{output.name}.bin", output.with_name(f"{output.name}.bin"), values))
    shared = {"version_MCUBOOT": NETWORK_VERSION, "version_B0": "1", "type": "mcuboot"}
    shared |= {"board": kind.chip.board, "soc": kind.chip.soc}
    write_zip(folder.path / "dfu_mcuboot.zip", shared, entries, "mcuboot", 1)
    return [entry.source for entry in entries]


def _sysbuild_files(folder: Folder) -> None:
    kind, path = folder.kind, folder.path
    (path / "zephyr").mkdir(exist_ok=True)
    (path / "zephyr" / ".config").write_text(texts.kconfig(configs.sysbuild(kind)))
    types = {APP: "MAIN", "mcuboot": "BOOTLOADER"}
    for name in sorted(one.name for one in path.iterdir() if (one / "zephyr" / ".config").exists()):
        types.setdefault(name, "")
    (path / "build_info.yml").write_text(texts.build_info(kind, _ZEPHYR[kind.ncs], types))
    # N sysbuild/CMakeLists.txt: with PM, merged hex files are flashed, so bootloaders are only built. They are listed
    # as domains all the same (seen in builds of NCS 2.7 and 3.0).
    flashed = [name for name in types if kind.style == "dts" or name not in {"mcuboot", "b0", "b0n", "s1_image"}]
    (path / "domains.yaml").write_text(texts.domains_yaml(folder.build, APP, types, reversed(flashed)))
    cache = ["CMAKE_PROJECT_NAME:STATIC=sysbuild_toplevel", f"BOARD:STRING={kind.chip.target}"]
    cache += ["APP_DIR:PATH=/home/user/smp_app", "ZEPHYR_BASE:PATH=/home/user/ncs/zephyr"]
    (path / "CMakeCache.txt").write_text("\n".join([*cache, f"CMAKE_CACHEFILE_DIR:INTERNAL={folder.build}"]) + "\n")


def _partition_manager(folder: Folder) -> None:
    kind, path = folder.kind, folder.path
    (path / "partitions.yml").write_text(texts.partitions_yml(kind.layout.app))
    (path / "pm.config").write_text(texts.pm_config(kind.layout.app))
    loaders = [folder.image("mcuboot") / "zephyr.hex"]
    if kind.own_update:  # N cmake/sysbuild/provision_hex.cmake: S0 and S1, key hashes; MCUboot with its header
        address, s0, s1 = (kind.layout.at(name).address for name in ("provision", "s0", "s1"))
        numbered = kind.numbers_keys
        write_hex(path / "app_provision.hex", provision_data(address, s0, s1, numbered=numbered))
        loaders = [folder.image("b0") / "zephyr.hex", path / "app_provision.hex"]
        loaders.append(path / "signed_by_mcuboot_and_b0_mcuboot.hex")
    merge_hex(path / "merged.hex", *loaders, folder.image(APP) / "zephyr.signed.hex")
    if kind.net:
        (path / "partitions_CPUNET.yml").write_text(texts.partitions_yml(kind.layout.net))
        (path / "pm_CPUNET.config").write_text(texts.pm_config(kind.layout.net, NET_START))
        sources = (
            folder.image("b0n") / "zephyr.hex",
            path / "net_provision.hex",
            path / f"signed_by_b0_{kind.net}.hex",
        )
        merge_hex(path / "merged_CPUNET.hex", *sources)
