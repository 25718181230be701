"""The text files of a build folder: devicetree, Partition Manager's outputs, what sysbuild says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.vectors.build_folders.kinds import Kind
from tests.vectors.build_folders.layouts import NET_START, Layout, Part


def partitions_yml(parts: Iterable[Part]) -> str:
    """``partitions.yml`` (N scripts/partition_manager.py): one map, names in order, spans twice by reference."""
    lines = []
    number = 0
    for part in sorted(parts, key=lambda one: one.name):
        number += bool(part.span)
        lines += [f"{part.name}:", f"  address: {part.address:#x}"]
        if part.region in {"external_flash", "ram_flash"} and not part.name.endswith("_pad"):
            lines.append(f"  device: {_DEVICES[part.region]}")
        lines.append(f"  end_address: {part.end:#x}")
        if part.span:
            lines += [f"  orig_span: &id{number:03}", *(f"  - {inner}" for inner in part.span)]
        lines += [f"  region: {part.region}", f"  size: {part.size:#x}"]
        lines += [f"  span: *id{number:03}"] if part.span else []
    return "\n".join(lines) + "\n"


_DEVICES = {"flash_primary": "flash_controller", "external_flash": "MX25R64", "ram_flash": "flash_ctrl"}


def pm_config(parts: Iterable[Part], base: int = 0) -> str:
    """``pm.config`` (N scripts/partition_manager_output.py): lines by address, IDs for partitions with a device."""
    listed = sorted(parts, key=lambda one: one.address)
    lines, number = [], 0
    for part in listed:
        name, start = part.name.upper(), {"flash_primary": base, "sram_primary": 0x2000_0000}.get(part.region, 0)
        start = 0x2100_0000 if base and part.region == "sram_primary" else start
        lines += [f"PM_{name}_OFFSET={part.address - start:#x}", f"PM_{name}_ADDRESS={part.address:#x}"]
        lines += [
            f"PM_{name}_END_ADDRESS={part.end:#x}",
            f"PM_{name}_SIZE={part.size:#x}",
            f"PM_{name}_NAME={part.name}",
        ]
        if part.region in _DEVICES:
            lines += [f"PM_{name}_ID={number}", f"PM_{part.name}_ID=PM_{name}_ID", f"PM_{part.name}_IS_ENABLED=1"]
            lines.append(f"PM_{number}_LABEL={name}")
            number += 1
        lines += [f'PM_{name}_SPAN="{" ".join(part.span)}"'] if part.span else []
    spans = {part.name: part.span for part in listed}
    by_size = " ".join(part.name for part in sorted(listed, key=lambda one: (one.size, _depth(one.name, spans))))
    return "\n".join([*lines, f"PM_NUM={number}", f'PM_ALL_BY_SIZE="{by_size}"'])


def _depth(name: str, spans: Mapping[str, tuple[str, ...]]) -> int:
    return 1 + _depth(spans[name][0], spans) if spans.get(name) else 0


def kconfig(values: Mapping[str, object]) -> str:
    """A ``.config``: y, numbers and hex as they are, texts quoted, False as "is not set"."""
    lines = ["#", "# Automatically generated file; DO NOT EDIT.", "#"]
    for name, value in values.items():
        if value is False:
            lines.append(f"# {name} is not set")
        elif value is True:
            lines.append(f"{name}=y")
        elif isinstance(value, str) and not value.startswith("0x"):
            lines.append(f'{name}="{value}"')
        else:
            lines.append(f"{name}={value}")
    return "\n".join(lines) + "\n"


def domains_yaml(build: str, default: str, images: Iterable[str], flashed: Iterable[str]) -> str:
    """Z share/sysbuild/cmake/domains.cmake: the images, and the order of those that are flashed by themselves."""
    names = list(images)
    lines = [f"default: {default}", f"build_dir: {build}", "domains:"]
    for name in names:
        lines += [f"  - name: {name}", f"    build_dir: {build}/{name}"]
    return "\n".join([*lines, "flash_order:", *(f"  - {name}" for name in flashed)])


def build_info(kind: Kind, zephyr: str, images: Mapping[str, str]) -> str:
    """``build_info.yml`` (Z scripts/schemas/build-schema.yaml, since Zephyr 3.7); ``images`` are names and types."""
    lines = [
        "cmake:",
        "  application:",
        "    source-dir: /home/user/smp_app",
        "  board:",
        f"    name: {kind.chip.board}",
    ]
    lines += [f"    qualifiers: {kind.chip.qualifiers}", "    revision:", "  images:"]
    for name, word in images.items():
        lines += [f"   - name: {name}", "     source-dir: /home/user/smp_app", f"     type: {word}"]
    lines += ["  sysbuild: true", "  zephyr:", f"    version: {zephyr}", "    zephyr-base: /home/user/ncs/zephyr"]
    lines += ["version: 0.1.0", "west:", f"  command: west build -b {kind.chip.target} --sysbuild", "  version: 1.2.0"]
    return "\n".join(lines) + "\n"


def write_release(out: Path, kind: Kind) -> None:
    """``ncs_version.h`` (N cmake/version.cmake, by Z cmake/gen_version_h.cmake), which each image has."""
    major, minor, patch = kind.ncs.split(".")
    lines = ["#ifndef _NCS_VERSION_H_", "#define _NCS_VERSION_H_", ""]
    lines += [f"#define NCS_VERSION_MAJOR {major}", f"#define NCS_VERSION_MINOR {minor}"]
    lines += [f"#define NCS_PATCHLEVEL {patch}", f'#define NCS_VERSION_STRING "{kind.ncs}"', "", "#endif"]
    folder = out / "include" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ncs_version.h").write_text("\n".join(lines) + "\n")


# --- devicetree -----------------------------------------------------------------------------------------------------

_FLASH = {  # label: path's node, size, erase block, base
    "flash0": ("flash@0", 0x10_0000, 0x1000, 0),
    "flash1": ("flash@1000000", 0x4_0000, 0x800, NET_START),
    "cpuapp_rram": ("rram@0", 0x17_D000, 0x1000, 0),
    "mx25r64": ("mx25r6435f@0", 0x80_0000, 0, 0),
    "flash_sim0": ("flash_sim@0", 0x4_0000, 0x1000, 0),
}
# Z dts/bindings/flash_controller/zephyr,sim-flash.yaml: the simulated flash is a child of its controller.
_SIMULATOR = ("flash-controller@0", "zephyr,sim-flash")


def devicetree(kind: Kind, parts: Iterable[Part], *, flash: str, code: str, ram: int = 0x2000_0000) -> str:
    """``zephyr.dts`` as far as partitions go: Z writes every node with its label, numbers as hex, comments behind.

    Since Zephyr 4.4 partitions are ``zephyr,mapped-partition``; before, their parent is ``fixed-partitions``.
    """
    lines = [
        "/dts-v1/;",
        "",
        "/ {",
        f'\tmodel = "{kind.chip.board}";',
        "",
        "\tchosen {",
        "\t\tzephyr,sram = &sram0_image;",
    ]
    lines += [f"\t\tzephyr,flash = &{flash};", f"\t\tzephyr,code-partition = &{code};", "\t};", "", "\tsoc {"]
    lines += [f"\t\tsram0_image: memory@{ram:x} {{", '\t\t\tcompatible = "mmio-sram";']
    lines += [f"\t\t\treg = < {ram:#x} 0x70000 >; /* in board:10 */", "\t\t};"]
    grouped: dict[str, list[Part]] = {}
    for part in parts:
        grouped.setdefault(part.region, []).append(part)
    for label, inside in grouped.items():
        node = _flash_node(kind, label, inside)
        lines += _in_simulator(node) if label == "flash_sim0" else node
    return "\n".join([*lines, "\t};", "};"]) + "\n"


def _flash_node(kind: Kind, label: str, parts: list[Part]) -> list[str]:
    node, size, erase, base = _FLASH[label]
    compatible = "nordic,qspi-nor" if label == "mx25r64" else "soc-nv-flash"
    lines = ["", f"\t\t{label}: {node} {{", f'\t\t\tcompatible = "{compatible}"; /* in nordic.dtsi:100 */']
    if erase:  # a QSPI chip tells by SFDP at run time, not in the devicetree (migration guide 3.4 of N)
        lines += [f"\t\t\terase-block-size = < {erase:#x} >;", f"\t\t\twrite-block-size = < {kind.chip.align:#x} >;"]
    lines += [f"\t\t\treg = < {base:#x} {size:#x} >;", "", "\t\t\tpartitions {"]
    mapped = kind.style == "dts" and label in {"flash0", "flash1", "cpuapp_rram"}
    lines += ["\t\t\t\tranges;"] if mapped else ['\t\t\t\tcompatible = "fixed-partitions";']
    lines += ["\t\t\t\t#address-cells = < 0x1 >;", "\t\t\t\t#size-cells = < 0x1 >;"]
    for part in parts:
        offset = part.address - base
        labels = f"bl_storage: {part.name}" if part.name == "provision_partition" else part.name
        lines += ["", f"\t\t\t\t{labels}: partition@{offset:x} {{"]
        lines += ['\t\t\t\t\tcompatible = "zephyr,mapped-partition";'] if mapped else []
        lines += [f'\t\t\t\t\tlabel = "{_LABELS.get(part.name, part.name)}"; /* in board.dts:20 */']
        lines += [f"\t\t\t\t\treg = < {offset:#x} {part.size:#x} >; /* in board.dts:21 */", "\t\t\t\t};"]
    return [*lines, "\t\t\t};", "\t\t};"]


def _in_simulator(lines: list[str]) -> list[str]:
    name, compatible = _SIMULATOR
    inside = [f"\t{line}" if line else line for line in lines]
    return ["", f"\t\t{name} {{", f'\t\t\tcompatible = "{compatible}";', *inside, "\t\t};"]


# N scripts (migration from PM): the label property of each node.
_LABELS = {
    "boot_partition": "mcuboot",
    "storage_partition": "storage",
    "b0n_partition": "b0n",
    "s0_partition": "image-0",
}
_LABELS |= {f"slot{number}_partition": f"image-{number}" for number in range(4)} | {
    "provision_partition": "b0-provision-data"
}


def board_partitions(kind: Kind) -> Layout:
    """What the board's own devicetree says; PM builds do not look at it, so their ``zephyr.dts`` contradicts them."""
    flash = kind.chip.flash_node
    app = (Part("boot_partition", 0, 0x1_0000, flash), Part("slot0_partition", 0x1_0000, 0x7_0000, flash))
    net = (
        Part("boot_partition", NET_START, 0xC000, "flash1"),
        Part("slot0_partition", NET_START + 0xC000, 0x1_7000, "flash1"),
    )
    return Layout((*app, Part("slot1_partition", 0x8_0000, 0x7_0000, flash)), net)
