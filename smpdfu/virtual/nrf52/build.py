"""How a secure bootloader is built: the options of its ``sdk_config.h`` that decide what it accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from smpdfu.image.keys.keys import Verifier
from smpdfu.image.secure_dfu.flash import APP_DATA_SIZE
from smpdfu.securedfu.protocol.slip import UART_MTU

USB_MTU = 2 * (1024 + 1) + 1
"""The receive buffer of ``nrf_dfu_serial_usb.c``."""


class Transport(StrEnum):
    """The wire that a bootloader is built for."""

    UART = "uart"
    USB = "usb"
    BLE = "ble"


@dataclass(frozen=True, slots=True)
class Nrf52Build:
    """The options of a bootloader, each with the SDK's name of it; the defaults are those of the SDK's examples."""

    transport: Transport = Transport.UART
    hw_version: int = 52
    """NRF_DFU_HW_VERSION."""
    requires_signed_app: bool = True
    """NRF_DFU_REQUIRE_SIGNED_APP_UPDATE."""
    prevents_downgrade: bool = True
    """NRF_DFU_APP_DOWNGRADE_PREVENTION."""
    accepts_same_version: bool = True
    """NRF_DFU_APP_ACCEPT_SAME_VERSION."""
    allows_debug: bool = False
    """NRF_DFU_DEBUG: debug packets skip the checks of hardware, SoftDevice and version; wrong CRCs still boot."""
    single_bank: bool = False
    """NRF_DFU_SINGLE_BANK_APP_UPDATES."""
    forces_dual_bank: bool = False
    """NRF_DFU_FORCE_DUAL_BANK_APP_UPDATES."""
    saves_progress: bool = False
    """NRF_DFU_SAVE_PROGRESS_IN_FLASH. The init packet is always saved."""
    external_app: bool = False
    """NRF_DFU_SUPPORTS_EXTERNAL_APP."""
    requires_app_signature: bool = False
    """NRF_BL_APP_SIGNATURE_CHECK_REQUIRED: only a boot validation by signature is accepted."""
    app_data_bytes: int = APP_DATA_SIZE
    """NRF_DFU_APP_DATA_AREA_SIZE: kept free in front of the bootloader."""
    inactivity_s: float = 120.0
    """NRF_BL_DFU_INACTIVITY_TIMEOUT_MS: so long DFU mode waits for a host before it restarts the device; 0: forever."""

    @property
    def requires_softdevice(self) -> bool:
        """DFU_REQUIRES_SOFTDEVICE: a bootloader with Bluetooth cannot work without the SoftDevice."""
        return self.transport is Transport.BLE

    @property
    def is_reduced(self) -> bool:
        """NRF_DFU_PROTOCOL_REDUCED: there are no versions, ping and MTU; so the SDK builds it for Bluetooth."""
        return self.transport is Transport.BLE

    @property
    def mtu(self) -> int:
        """What the serial transport answers to "get MTU"."""
        return USB_MTU if self.transport is Transport.USB else UART_MTU

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` made, of any age. Raises ValueError, TypeError or KeyError."""
        return cls(**{**found, "transport": Transport(found.get("transport", Transport.UART))})


DEFAULT_BUILD = Nrf52Build()


@dataclass(frozen=True, slots=True)
class Trust:
    """What a bootloader holds and how it is built: ``key`` is the ECDSA P-256 key that it trusts, None for none."""

    key: Verifier | None = None
    build: Nrf52Build = DEFAULT_BUILD
