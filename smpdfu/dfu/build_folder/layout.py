"""Where the images of a build run: the partitions of both cores, and what is known of the application's flash."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from smpdfu.dfu.build_folder.build import BuildImage, BuildKind, Fact
from smpdfu.dfu.build_folder.formats import partitions
from smpdfu.dfu.build_folder.formats.devicetree import DeviceTree
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.formats.partitions import Partition, Partitions
from smpdfu.errors import PackageError
from smpdfu.untrusted import yamltext

DTS = "zephyr/zephyr.dts"
USUAL = "the usual value"
_USUAL_ALIGN, _USUAL_SECTOR, _USUAL_HEADER = 4, 4096, 0x200
_ALIGNS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Layout:
    """The partitions by their names, of the application core and of the network core. ``label`` differs by the kind.

    ``network`` is where the network core's application is. ``align`` and ``sector`` are those of the chip's own flash.
    """

    kind: BuildKind
    app: Partitions
    network: Partition | None = None
    align: Fact[int] = field(default_factory=lambda: Fact(_USUAL_ALIGN, key=USUAL))
    sector: Fact[int] = field(default_factory=lambda: Fact(_USUAL_SECTOR, key=USUAL))
    looked_in: str = ""

    @property
    def by_devicetree(self) -> bool:
        """True without Partition Manager."""
        return self.kind is BuildKind.SYSBUILD_DTS

    def slot(self, number: int, *, secondary: bool = False) -> Partition | None:
        """The slot of MCUboot's image ``number``, primary or secondary."""
        if self.by_devicetree:
            return self.app.get(f"slot{2 * number + secondary}_partition")
        name = "mcuboot_secondary" if secondary else "mcuboot_primary"
        return self.app.get(f"{name}_{number}" if number else name)

    def needed_slot(self, number: int, *, secondary: bool = False) -> Partition:
        """The same. Raises PackageError where the build does not tell it."""
        found = self.slot(number, secondary=secondary)
        if found is None:
            word = "secondary" if secondary else "primary"
            raise PackageError(
                f"the build does not say where the {word} slot of image {number} is: {self.looked_in} has no such slot"
            ).because("build-incomplete", file=self.looked_in)
        return found


def read_layout(folder: BuildFolder, kind: BuildKind, application: BuildImage, network: BuildImage | None) -> Layout:
    """The layout of a build. Raises PackageError for a file that cannot be read, OSError."""
    name = application.file(DTS)
    tree = folder.devicetree(name)
    if kind is BuildKind.SYSBUILD_DTS:
        found = Layout(kind, {} if tree is None else partitions.of_devicetree(tree), looked_in=name)
        network_part = None if network is None else _code_partition(folder, network)
    else:
        app = _managed(folder, "", ("", "zephyr/"))
        found = Layout(kind, app, looked_in="pm.config")
        network_part = None if network is None else _managed_network(folder, network)
    return replace(_with_flash(found, tree), network=network_part)


def _with_flash(layout: Layout, tree: DeviceTree | None) -> Layout:
    flash = None if tree is None else tree.chosen("zephyr,flash")
    if tree is None or flash is None:
        return layout
    align, sector = flash.number("write-block-size"), flash.number("erase-block-size")
    if align in _ALIGNS:
        layout = replace(layout, align=Fact(align, tree.file, "write-block-size"))
    if sector and 0 < sector <= 1 << 20 and sector % layout.align.value == 0:
        layout = replace(layout, sector=Fact(sector, tree.file, "erase-block-size"))
    return layout


def _code_partition(folder: BuildFolder, image: BuildImage) -> Partition | None:
    tree = folder.devicetree(image.file(DTS))
    return None if tree is None else partitions.code_partition(tree)


def _managed(folder: BuildFolder, domain: str, places: tuple[str, ...]) -> Partitions:
    """What the Partition Manager wrote for a domain (``_CPUNET``), in the first of these places that has it."""
    for place in places:
        config = folder.config(f"{place}pm{domain}.config")
        if config is not None:
            return partitions.of_pm_config(config)
    for place in places:
        name = f"{place}partitions{domain}.yml"
        found = folder.read(name, yamltext.MAX_BYTES, yaml_of(name))
        if found is not None:
            return found
    return {}


def yaml_of(name: str) -> partitions.Reader:
    """The reader of a ``partitions.yml`` that is called ``name``."""
    return lambda data: partitions.of_yaml(data, name)


def _managed_network(folder: BuildFolder, image: BuildImage) -> Partition | None:
    found = _managed(folder, "_CPUNET", ("", image.file(""), image.file("zephyr/"), "zephyr/"))
    found = found or _managed(folder, "", (image.file(""), image.file("zephyr/")))
    return found.get("app") or found.get(image.name.lower())


def header_size(layout: Layout, application: BuildImage, sysbuild: Kconfig) -> tuple[Fact[int], bool]:
    """Bytes of the application's header, and whether the firmware begins with room for it."""
    config = application.config
    if layout.by_devicetree:
        with_tfm = config.flag("CONFIG_BUILD_WITH_TFM")
        key = "CONFIG_TFM_MCUBOOT_HEADER_SIZE" if with_tfm else "CONFIG_ROM_START_OFFSET"
        return _number(((config, key),)), not with_tfm
    pad = layout.app.get("mcuboot_pad")
    if pad is not None:
        return Fact(pad.size, pad.file, f"{pad.key}_SIZE"), False
    return _number(((sysbuild, "SB_CONFIG_PM_MCUBOOT_PAD"), (config, "CONFIG_PM_PARTITION_SIZE_MCUBOOT_PAD"))), False


def _number(places: tuple[tuple[Kconfig, str], ...]) -> Fact[int]:
    found = ((config, key, config.number(key)) for config, key in places)
    return next((Fact(size, one.file, key) for one, key, size in found if size), Fact(_USUAL_HEADER, key=USUAL))
