"""Where partitions lie in the builds that ``make_build_folders.py`` rebuilds, by the words of each kind of build.

``N`` is nrfconnect/sdk-nrf, ``Z`` is zephyrproject-rtos/zephyr. Two worlds: Partition Manager (PM) names partitions by
role and writes ``partitions.yml``; devicetree (DTS) builds have partition nodes with labels in ``zephyr.dts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NET_START, NET_END = 0x0100_0000, 0x0104_0000
XIP_START = 0x1000_0000  # where the QSPI flash of an nRF5340 is mapped for execution (Kconfig and docs of N: qspi_xip)


@dataclass(frozen=True)
class Part:
    """A partition: ``address`` as its region counts (external flash begins at 0), ``span`` names what it contains."""

    name: str
    address: int
    size: int
    region: str = "flash_primary"
    span: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.size


@dataclass(frozen=True)
class Layout:
    """The partitions of the application core and of the network core."""

    app: tuple[Part, ...]
    net: tuple[Part, ...] = ()

    def at(self, name: str) -> Part:
        """The partition of the application core with this name."""
        return _by_name(self.app)[name]

    def net_at(self, name: str) -> Part:
        """The same on the network core."""
        return _by_name(self.net)[name]


def _by_name(parts: tuple[Part, ...]) -> Mapping[str, Part]:
    return {part.name: part for part in parts}


def _net_pm(b0n_size: int, image: str) -> tuple[Part, ...]:
    # N subsys/bootloader and samples/nrf5340/netboot: b0n first, its provisioning data of 0x280 bytes behind it, then
    # the application. partition_manager.py gives the dynamic partition its image's name and the name "app" too.
    provision = NET_START + b0n_size
    start = provision + 0x280
    return (
        Part("app", start, NET_END - start, span=(image,)),
        Part("b0n", NET_START, b0n_size),
        Part("b0n_container", NET_START, b0n_size + 0x280, span=("b0n", "provision")),
        Part(image, start, NET_END - start),
        Part("provision", provision, 0x280),
        Part("sram_primary", 0x2100_0000, 0x1_0000, "sram_primary"),
    )


def _ram_pm() -> tuple[Part, ...]:
    # N subsys/pcd (8 KiB for the hand-over command) and subsys/partition_manager/pm.yml.rpmsg_nrf53.
    return (
        Part("otp", 0xFF_8100, 0x2FC, "otp"),
        Part("pcd_sram", 0x2000_0000, 0x2000, "sram_primary"),
        Part("rpmsg_nrf53_sram", 0x2007_0000, 0x1_0000, "sram_primary"),
        Part("sram_primary", 0x2000_2000, 0x6_E000, "sram_primary"),
    )


def _slots_pm(primary: int, primary_size: int, code: tuple[str, ...] = ("app",)) -> tuple[Part, ...]:
    # N subsys/partition_manager/pm.yml.mcuboot: a pad of the header's size, then what is signed, both in the primary.
    return (
        Part("mcuboot", 0, primary),
        Part("mcuboot_pad", primary, 0x200),
        Part("mcuboot_primary", primary, primary_size, span=("mcuboot_pad", *code)),
        Part("mcuboot_primary_app", primary + 0x200, primary_size - 0x200, span=code),
    )


def pm_internal(net_image: str = "", b0n_size: int = 0x8580) -> Layout:
    """Both slots in the chip's flash, as NCS lays out the nRF5340 DK without a static file (facts: nrf5340.md)."""
    app = (
        *_slots_pm(0xC000, 0x7_A000),
        Part("app", 0xC200, 0x7_9E00),
        Part("mcuboot_secondary", 0x8_6000, 0x7_A000),
        *_ram_pm(),
    )
    return Layout(app, _net_pm(b0n_size, net_image) if net_image else ())


def pm_direct_xip() -> Layout:
    """The same with a secondary slot that code runs in: it has a pad and a code partition, too."""
    second = (
        Part("mcuboot_secondary", 0x8_6000, 0x7_A000, span=("mcuboot_secondary_pad", "mcuboot_secondary_app")),
        Part("mcuboot_secondary_app", 0x8_6200, 0x7_9E00),
        Part("mcuboot_secondary_pad", 0x8_6000, 0x200),
    )
    return Layout((*_slots_pm(0xC000, 0x7_A000), Part("app", 0xC200, 0x7_9E00), *second, *_ram_pm()))


def pm_nsib() -> Layout:
    """NSIB below MCUboot: b0, then two slots for MCUboot itself, each with a pad (N subsys/bootloader/pm.yml.b0)."""
    app = (
        Part("b0", 0, 0x8000),
        Part("s0", 0x8000, 0xC000, span=("s0_pad", "mcuboot")),
        Part("s0_image", 0x8200, 0xBE00, span=("mcuboot",)),
        Part("s0_pad", 0x8000, 0x200),
        Part("mcuboot", 0x8200, 0xBE00),
        Part("s1", 0x1_4000, 0xC000, span=("s1_pad", "s1_image")),
        Part("s1_pad", 0x1_4000, 0x200),
        Part("s1_image", 0x1_4200, 0xBE00),
        *_slots_pm(0x2_0000, 0x7_0000)[1:],
        Part("app", 0x2_0200, 0x6_FE00),
        Part("mcuboot_secondary", 0x9_0000, 0x7_0000),
        Part("provision", 0xFF_8100, 0x280, "otp"),
        Part("sram_primary", 0x2000_0000, 0x8_0000, "sram_primary"),
    )
    return Layout(app)


def pm_external(net_image: str) -> Layout:
    """Secondary slots in QSPI flash, the network core's primary in RAM, as Matter's samples (facts: nrf5340.md)."""
    app = (
        *_slots_pm(0x1_0000, 0xE_7000),
        Part("app", 0x1_0200, 0xE_6E00),
        Part("factory_data", 0xF_7000, 0x1000),
        Part("settings_storage", 0xF_8000, 0x8000),
        Part("external_flash", 0x12_7000, 0x6D_9000, "external_flash"),
        Part("mcuboot_secondary", 0, 0xE_7000, "external_flash"),
        Part("mcuboot_secondary_1", 0xE_7000, 0x4_0000, "external_flash"),
        Part("mcuboot_primary_1", 0, 0x4_0000, "ram_flash"),
        Part("ram_flash", 0x4_0000, 0, "ram_flash"),
        *_ram_pm(),
    )
    return Layout(app, _net_pm(0x8580, net_image))


def pm_qspi_xip(net_image: str = "") -> Layout:
    """Code in QSPI flash: N samples/nrf5340/extxip_smp_svr/pm_static.yml; without a network core its image is 1."""
    number = 2 if net_image else 1
    primary, pad, code = (f"mcuboot_primary_{number}{end}" for end in ("", "_pad", "_app"))
    net = (
        Part("mcuboot_primary_1", 0, 0x4_0000, "ram_flash"),
        Part("mcuboot_secondary_1", 0xD_4000, 0x4_0000, "external_flash"),
        Part("ram_flash", 0x4_0000, 0, "ram_flash"),
    )
    app = (
        *_slots_pm(0x1_0000, 0xD_4000),
        Part("app", 0x1_0200, 0xD_3E00),
        Part("mcuboot_secondary", 0, 0xD_4000, "external_flash"),
        *(net if net_image else ()),
        Part(primary, 0x12_0000, 0x4_0000, "external_flash", (pad, code)),
        Part(pad, 0x12_0000, 0x200, "external_flash"),
        Part(code, 0x12_0200, 0x3_FE00, "external_flash"),
        Part(f"mcuboot_secondary_{number}", 0x16_0000, 0x4_0000, "external_flash"),
        Part("settings_storage", 0xF_0000, 0x1_0000),
        *_ram_pm(),
    )
    return Layout(app, _net_pm(0x8580, net_image) if net_image else ())


def pm_single_slot() -> Layout:
    """One slot and no secondary: N subsys/partition_manager/pm.yml.mcuboot leaves it out in this mode."""
    return Layout((*_slots_pm(0xC000, 0xF_4000), Part("app", 0xC200, 0xF_3E00), *_ram_pm()))


def pm_nrf52840() -> Layout:
    """The nRF52840 DK: one core, pages of 4 KiB, both slots inside."""
    app = (*_slots_pm(0xC000, 0x7_A000), Part("app", 0xC200, 0x7_9E00), Part("mcuboot_secondary", 0x8_6000, 0x7_A000))
    return Layout((*app, Part("sram_primary", 0x2000_0000, 0x4_0000, "sram_primary")))


def pm_nrf91() -> Layout:
    """The nRF9151 DK with TF-M: the signed image is TF-M and the application, so the primary's code is two images."""
    app = (
        *_slots_pm(0xC000, 0x7_4000, ("tfm", "app")),
        Part("tfm", 0xC200, 0x7E00),
        Part("app", 0x1_4000, 0x6_C000),
        Part("mcuboot_secondary", 0x8_0000, 0x7_4000),
        Part("tfm_storage", 0xF_8000, 0x8000),
        Part("otp", 0xFF_8108, 0x2F4, "otp"),
        Part("sram_primary", 0x2000_0000, 0x4_0000, "sram_primary"),
    )
    return Layout(app)


def _net_dts(b0n_size: int) -> tuple[Part, ...]:
    # N migration guide 3.4: b0n_partition, provision_partition (also labelled bl_storage), s0_partition on flash1.
    # Offsets in the node count from the flash; here they are addresses.
    provision = NET_START + b0n_size
    start = provision + 0x280
    return (
        Part("b0n_partition", NET_START, b0n_size, "flash1"),
        Part("provision_partition", provision, 0x280, "flash1"),
        Part("s0_partition", start, NET_END - start, "flash1"),
    )


# N modules/mcuboot/flash_sim.overlay: the network core's primary is a simulated flash whose addresses begin at 0.
_RAM_SLOT = Part("slot2_partition", 0, 0x4_0000, "flash_sim0")


def dts_internal(*, net: bool = True, slot0_size: int = 0x7_0000) -> Layout:
    """Z dts/vendor/nordic/nrf5340_cpuapp_partition.dtsi: 64 KiB for MCUboot, two slots of 448 KiB, storage."""
    second = 0x1_0000 + slot0_size
    app = (
        Part("boot_partition", 0, 0x1_0000, "flash0"),
        Part("slot0_partition", 0x1_0000, slot0_size, "flash0"),
        Part("slot1_partition", second, 0xF_0000 - second, "flash0"),
        Part("storage_partition", 0xF_8000, 0x8000, "flash0"),
    )
    return Layout((*app, _RAM_SLOT) if net else app, _net_dts(0x8580) if net else ())


def dts_external() -> Layout:
    """N samples/bluetooth/fast_pair/locator_tag, by the migration guide 3.4: small b0n, secondary slots in QSPI."""
    app = (
        Part("boot_partition", 0, 0x1_0000, "flash0"),
        Part("slot0_partition", 0x1_0000, 0xE_7000, "flash0"),
        Part("storage_partition", 0xF_8000, 0x8000, "flash0"),
        Part("slot1_partition", 0, 0xE_7000, "mx25r64"),
        Part("slot3_partition", 0xE_7000, 0x4_0000, "mx25r64"),
        _RAM_SLOT,
    )
    return Layout(app, _net_dts(0x2580))


def dts_nrf54l15() -> Layout:
    """Z dts/vendor/nordic/nrf54l15_cpuapp_partition.dtsi: RRAM, slots of 664 KiB."""
    return Layout(
        (
            Part("boot_partition", 0, 0x1_0000, "cpuapp_rram"),
            Part("slot0_partition", 0x1_0000, 0xA_6000, "cpuapp_rram"),
            Part("slot1_partition", 0xB_6000, 0xA_6000, "cpuapp_rram"),
            Part("storage_partition", 0x15_C000, 0x9000, "cpuapp_rram"),
        )
    )
