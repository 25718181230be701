"""The readers of a build folder's files, with small files to start from."""

from __future__ import annotations

from fuzz.target import Target
from smpdfu.dfu.build_folder.formats import devicetree, documents, kconfig, partitions
from smpdfu.errors import ImageError

KCONFIG = b"""CONFIG_BOARD="nrf5340dk"
CONFIG_MCUBOOT=y
# CONFIG_BOOT_UPGRADE_ONLY is not set
PM_MCUBOOT_PRIMARY_ADDRESS=0xc000
PM_MCUBOOT_PRIMARY_SIZE=0x7a000
"""
DEVICETREE = b"""/dts-v1/;
/ { /* root */
\tchosen { zephyr,flash = &flash0; zephyr,code-partition = &slot0_partition; };
\tsoc {
\t\tflash0: flash@0 {
\t\t\tcompatible = "soc-nv-flash";
\t\t\treg = < 0x0 0x100000 >;
\t\t\twrite-block-size = < 0x4 >;
\t\t\tpartitions {
\t\t\t\tcompatible = "fixed-partitions";
\t\t\t\tranges = < 0x0 0x0 0x100000 >;
\t\t\t\tslot0_partition: partition@c000 { label = "image-0"; reg = < 0xc000 0x7a000 >; };
\t\t\t};
\t\t};
\t};
};
"""
DOMAINS = b"default: app\nbuild_dir: /b\ndomains:\n  - name: app\n    build_dir: /b/app\n"
BUILD_INFO = b"cmake:\n  board:\n    name: nrf5340dk\n    qualifiers: nrf5340/cpuapp\nversion: 0.1.0\n"
PUBLIC_KEY = b"const unsigned char ecdsa_pub_key[] = {\n    0x30, 0x59, 0x30,\n};\n"
VERSION = b'#define NCS_VERSION_STRING           "3.4.1"\n'


def read_kconfig(data: bytes) -> object:
    """``.config`` and ``pm.config``."""
    config = kconfig.parse(data, "x")
    return [config.number(key) for key in config.values], partitions.of_pm_config(config)


def read_devicetree(data: bytes) -> object:
    """``zephyr.dts``."""
    tree = devicetree.parse(data, "x")
    return partitions.of_devicetree(tree), partitions.code_partition(tree)


def read_documents(data: bytes) -> object:
    """The small files, each by its own reader."""
    found: list[object] = [documents.parse_define(data, "NCS_VERSION_STRING")]
    for read in (documents.parse_domains, documents.parse_board, documents.parse_public_key):
        try:
            found.append(read(data))
        except ImageError:
            continue
    return found


BUILD_FOLDER_TARGETS = {
    "kconfig": Target(read_kconfig, (KCONFIG,), (ImageError,)),
    "devicetree": Target(read_devicetree, (DEVICETREE,), (ImageError,)),
    "buildfiles": Target(read_documents, (DOMAINS, BUILD_INFO, PUBLIC_KEY, VERSION), ()),
}
