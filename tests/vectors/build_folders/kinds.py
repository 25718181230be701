"""The kinds of builds that ``make_build_folders.py`` rebuilds, each by what makes it differ from the others."""

from __future__ import annotations

from dataclasses import dataclass

from tests.vectors.build_folders import layouts
from tests.vectors.build_folders.layouts import Layout

APP, APP_VERSION = "smp_app", "1.2.3+4"


@dataclass(frozen=True)
class Chip:
    """What the build system knows of a chip: words of board and SoC, alignment, header, key type of its signatures."""

    board: str
    qualifiers: str
    soc: str
    flash_node: str = "flash0"
    align: int = 4
    sector: int = 0x1000
    header: int = 0x200
    key: str = "ecdsa-p256"

    @property
    def target(self) -> str:
        """The board target, as ``west build -b`` takes it."""
        return f"{self.board}/{self.qualifiers}"


NRF5340 = Chip("nrf5340dk", "nrf5340/cpuapp", "nrf5340")
NRF52840 = Chip("nrf52840dk", "nrf52840", "nrf52840")
NRF9151 = Chip("nrf9151dk", "nrf9151/ns", "nrf9151")
# Z soc/nordic/nrf54l: RRAM with write blocks of 16 bytes; Kconfig.mcuboot of N: Ed25519 and SHA-512 on this series.
NRF54L15 = Chip("nrf54l15dk", "nrf54l15/cpuapp", "nrf54l15", "cpuapp_rram", 16, 0x1000, 0x800, "ed25519")


@dataclass(frozen=True)
class Kind:
    """A kind of build. ``style``: "child" (NCS until 2.6), "pm" or "dts" (sysbuild with or without PM).

    ``mode`` is sysbuild's word for MCUboot's mode (SB_CONFIG_MCUBOOT_MODE_...). ``net`` names the network image.
    """

    ncs: str
    style: str
    mode: str
    layout: Layout
    chip: Chip = NRF5340
    net: str = ""
    simultaneous: bool = False
    encrypted: bool = False
    split: bool = False
    tfm: bool = False
    own_update: bool = False  # MCUboot itself can be updated: NSIB (b0) below it, two slots S0 and S1
    version: str = APP_VERSION  # of the application
    firmware_version: int = 1  # for NSIB, of MCUboot and of the network core (CONFIG_FW_INFO_FIRMWARE_VERSION)

    def firmware_name(self, name: str) -> str:
        """What the text in a firmware calls it: builds of other versions have other bytes."""
        return name if self.version == APP_VERSION else f"{name} {self.version}"

    @property
    def direct_xip(self) -> bool:
        """Whether the application is built once for each slot."""
        return self.mode.startswith("DIRECT_XIP")

    @property
    def external(self) -> bool:
        """Whether the secondary slots lie in external flash."""
        return any(part.region in {"external_flash", "mx25r64"} for part in self.layout.app)

    @property
    def split_number(self) -> int:
        """The image number of the external half: N sysbuild/Kconfig.mcuboot counts network core first."""
        return 2 if self.net else 1

    @property
    def images(self) -> int:
        """How many images MCUboot updates (SB_CONFIG_MCUBOOT_UPDATEABLE_IMAGES)."""
        return 1 + bool(self.net and self.simultaneous) + self.split

    @property
    def multi_image(self) -> bool:
        """Whether the build also writes ``dfu_multi_image.bin``, as Matter's samples do."""
        return (self.simultaneous and not self.split) or self.own_update

    @property
    def old_words(self) -> bool:
        """Whether the mode's Kconfig words are those from before Zephyr 4.1 (NCS 3.0)."""
        return self.ncs < "3.0"

    @property
    def numbers_keys(self) -> bool:
        """Whether provisioning data number the keys in their tokens."""
        return self.ncs >= "2.9"


_RADIO = "ipc_radio"

TABLE: dict[str, Kind] = {
    "ncs2.5-child-staged": Kind("2.5.3", "child", "SWAP_USING_MOVE", layouts.pm_internal("hci_ipc"), net="hci_ipc"),
    "ncs2.5-child-nrf52840-swap": Kind("2.5.3", "child", "SWAP_USING_MOVE", layouts.pm_nrf52840(), NRF52840),
    "ncs2.7-sysbuild-pm-staged": Kind("2.7.0", "pm", "SWAP_USING_MOVE", layouts.pm_internal(_RADIO), net=_RADIO),
    "ncs2.7-sysbuild-pm-simultaneous": Kind(
        "2.7.0", "pm", "OVERWRITE_ONLY", layouts.pm_external(_RADIO), net=_RADIO, simultaneous=True
    ),
    "ncs3.0-sysbuild-pm-staged": Kind("3.0.2", "pm", "SWAP_USING_MOVE", layouts.pm_internal(_RADIO), net=_RADIO),
    "ncs3.0-sysbuild-pm-staged-encrypted": Kind(
        "3.0.2", "pm", "SWAP_USING_MOVE", layouts.pm_internal(_RADIO), net=_RADIO, encrypted=True
    ),
    "ncs3.0-sysbuild-pm-simultaneous": Kind(
        "3.0.2", "pm", "OVERWRITE_ONLY", layouts.pm_external(_RADIO), net=_RADIO, simultaneous=True
    ),
    "ncs3.0-sysbuild-pm-simultaneous-encrypted": Kind(
        "3.0.2", "pm", "OVERWRITE_ONLY", layouts.pm_external(_RADIO), net=_RADIO, simultaneous=True, encrypted=True
    ),
    "ncs3.0-pm-qspi-xip": Kind("3.0.2", "pm", "SWAP_USING_MOVE", layouts.pm_qspi_xip(), split=True),
    "ncs3.0-pm-qspi-xip-net": Kind(
        "3.0.2", "pm", "OVERWRITE_ONLY", layouts.pm_qspi_xip(_RADIO), net=_RADIO, simultaneous=True, split=True
    ),
    "ncs3.0-pm-direct-xip": Kind("3.0.2", "pm", "DIRECT_XIP", layouts.pm_direct_xip()),
    "ncs3.0-pm-single-slot": Kind("3.0.2", "pm", "SINGLE_APP", layouts.pm_single_slot()),
    "ncs3.0-pm-mcuboot-update": Kind("3.0.2", "pm", "SWAP_USING_MOVE", layouts.pm_nsib(), own_update=True),
    "ncs3.4-dts-staged": Kind("3.4.1", "dts", "SWAP_USING_MOVE", layouts.dts_internal(), net=_RADIO),
    "ncs3.4-dts-simultaneous": Kind(
        "3.4.1", "dts", "OVERWRITE_ONLY", layouts.dts_external(), net=_RADIO, simultaneous=True
    ),
    "ncs3.4-dts-direct-xip": Kind("3.4.1", "dts", "DIRECT_XIP", layouts.dts_internal(net=False)),
    "ncs3.4-dts-direct-xip-revert": Kind("3.4.1", "dts", "DIRECT_XIP_WITH_REVERT", layouts.dts_internal(net=False)),
    "ncs3.4-dts-firmware-loader": Kind(
        "3.4.1", "dts", "FIRMWARE_UPDATER", layouts.dts_internal(net=False, slot0_size=0xA_0000)
    ),
    "ncs3.4-dts-ram-load": Kind("3.4.1", "dts", "RAM_LOAD", layouts.dts_internal(net=False)),
    "ncs3.0-nrf52840-swap": Kind("3.0.2", "pm", "SWAP_USING_MOVE", layouts.pm_nrf52840(), NRF52840),
    "ncs3.0-nrf9151-swap-tfm": Kind("3.0.2", "pm", "SWAP_USING_MOVE", layouts.pm_nrf91(), NRF9151, tfm=True),
    "ncs3.4-nrf54l15-swap-offset": Kind("3.4.1", "dts", "SWAP_USING_OFFSET", layouts.dts_nrf54l15(), NRF54L15),
}
