"""The partitions of a build by their names: of the Partition Manager, or of the devicetree.

Partition Manager: ``pm.config`` has ``PM_<NAME>_ADDRESS`` and ``_SIZE``, ``partitions.yml`` the same by name. Source:
``scripts/partition_manager_output.py`` and ``partition_manager.py`` of the nRF Connect SDK.

Devicetree: a partition's ``reg`` is an offset in the memory of its flash (``fixed-partitions``,
``fixed-subpartitions``), or ``ranges`` lead from it to an address. Source: Zephyr's bindings of those names, and of
``zephyr,mapped-partition``. Partitions of external flash keep their offset: that flash has no address of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from smpdfu.dfu.build_folder.devicetree import DeviceTree, Node
from smpdfu.dfu.build_folder.kconfig import Kconfig
from smpdfu.untrusted import yamltext

LARGEST_ADDRESS = 0xFFFF_FFFF
_INTERNAL = frozenset(("soc-nv-flash", "nordic,rram"))
_TABLES = frozenset(("fixed-partitions", "fixed-subpartitions"))
_SIMULATED = "zephyr,sim-flash"


class Memory(StrEnum):
    """The memory that a partition is in, by the Partition Manager's words for its regions."""

    INTERNAL = "flash_primary"
    EXTERNAL = "external_flash"
    RAM_AS_FLASH = "ram_flash"
    RAM = "sram_primary"
    OTP = "otp"


@dataclass(frozen=True, slots=True)
class Partition:
    """``size`` bytes from ``address`` on; of external flash, ``address`` is an offset. ``key`` names it in its file.

    ``sector_size`` and ``write_size`` are those of its flash in bytes, where the file tells them. ``memory`` is None
    where the file does not tell it, as ``pm.config``, and for a memory that is none of those.
    """

    address: int
    size: int
    file: str
    key: str
    sector_size: int | None = None
    write_size: int | None = None
    memory: Memory | None = None

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + self.size


Partitions = Mapping[str, Partition]
Reader = Callable[[bytes], Partitions]


def of_pm_config(config: Kconfig) -> Partitions:
    """The partitions of a ``pm.config`` by their names in lower case. One without a possible size is left out."""
    found = {}
    for key in config.values:
        if key.startswith("PM_") and key.endswith("_ADDRESS"):
            name = key[3:-8]
            address, size = config.number(key), config.number(f"PM_{name}_SIZE")
            if address is not None and size is not None and _is_possible(address, size):
                found[name.lower()] = Partition(address, size, config.file, f"PM_{name}")
    return found


def of_yaml(data: bytes, file: str) -> Partitions:
    """The partitions of a ``partitions.yml``. Raises FormatError for what is no YAML of a bounded size."""
    document = yamltext.load(data)
    if not isinstance(document, dict):
        return {}
    return {name.lower(): found for name, entry in document.items() if (found := _of_entry(name, entry, file))}


def _of_entry(name: Any, entry: Any, file: str) -> Partition | None:
    if not isinstance(name, str) or not isinstance(entry, dict):
        return None
    address, size = entry.get("address"), entry.get("size")
    if type(address) is not int or type(size) is not int or not _is_possible(address, size):
        return None
    region = entry.get("region", Memory.INTERNAL)
    return Partition(address, size, file, name, memory=_MEMORIES.get(region) if isinstance(region, str) else None)


_MEMORIES = {str(memory): memory for memory in Memory}


def _is_possible(address: int, size: int) -> bool:
    return 0 <= address <= LARGEST_ADDRESS and 0 < size <= 1 << 32


def of_devicetree(tree: DeviceTree) -> Partitions:
    """The partitions by their node labels, such as ``slot0_partition``."""
    return {label: found for label, node in tree.by_label.items() if (found := partition_of(tree, node, label))}


def code_partition(tree: DeviceTree) -> Partition | None:
    """The partition that an image is linked for: what ``zephyr,code-partition`` names."""
    node = tree.chosen("zephyr,code-partition")
    return None if node is None else partition_of(tree, node, "zephyr,code-partition")


def partition_of(tree: DeviceTree, node: Node, key: str) -> Partition | None:
    """The partition that a node describes; None for a node of another kind, or without a place and a size."""
    table = node.parent
    if table is None or not _is_partition(node, table):
        return None
    reg = node.numbers("reg")
    if len(reg) != 2 or not _is_possible(reg[0], reg[1]):
        return None
    flash = next((one for one in node.ancestors() if _is_flash(one)), None)
    address = _address(node, reg[0], flash)
    if not _is_possible(address, reg[1]):
        return None
    sector, write = (None if flash is None else flash.number(f"{one}-block-size") for one in ("erase", "write"))
    return Partition(address, reg[1], tree.file, key, sector or None, write or None, _memory(node))


def _memory(node: Node) -> Memory:
    """RAM that a simulated flash is in (``zephyr,sim-flash``), the chip's own flash, or else another chip's."""
    compatible = {text for one in node.ancestors() for text in one.texts("compatible")}
    if _SIMULATED in compatible:
        return Memory.RAM_AS_FLASH
    return Memory.INTERNAL if _INTERNAL & compatible else Memory.EXTERNAL


def _is_partition(node: Node, table: Node) -> bool:
    return bool(_TABLES & set(table.texts("compatible"))) or "zephyr,mapped-partition" in node.texts("compatible")


def _is_flash(node: Node) -> bool:
    return bool({"erase-block-size", "write-block-size"} & set(node.properties)) or bool(
        _INTERNAL & set(node.texts("compatible"))
    )


def _address(node: Node, offset: int, flash: Node | None) -> int:
    """``offset``, moved up through the tables that it is in to the address of the flash, if the flash has one."""
    address = offset
    for one in node.ancestors():
        moved = _through_ranges(one, address)
        if one is flash:
            if moved is not None:
                return moved
            base = one.numbers("reg")
            return address + (base[0] if _INTERNAL & set(one.texts("compatible")) and base else 0)
        if moved is not None:
            address = moved
        elif "fixed-subpartitions" in one.texts("compatible") or _holds_partitions(one):
            address += (one.numbers("reg") or (0,))[0]
    return address


def _holds_partitions(node: Node) -> bool:
    """True for a partition that is divided itself (TF-M: ``slot0_partition`` with a secure and a non-secure part)."""
    return node.parent is not None and bool(_TABLES & set(node.parent.texts("compatible")))


def _through_ranges(node: Node, address: int) -> int | None:
    """``address`` by the node's ``ranges``; None where it has none, or none that the address is in."""
    if "ranges" not in node.properties:
        return None
    cells = node.numbers("ranges")
    if not cells:
        return address  # an empty property: both count alike
    return next((up + address - low for low, up, size in _threes(cells) if low <= address < low + size), None)


def _threes(cells: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    yield from zip(cells[::3], cells[1::3], cells[2::3], strict=False)
