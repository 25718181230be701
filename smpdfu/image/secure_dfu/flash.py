"""Sizes and places in the flash of the nRF52 chips that the bootloader of the nRF5 SDK works with.

Source: product specifications (NVMC, memory); nRF5 SDK 17, ``CODE_PAGE_SIZE`` and ``DATA_OBJECT_MAX_SIZE`` in
``nrf_dfu_types.h``, ``nrf_mbr.h``.
"""

from __future__ import annotations

PAGE_SIZE = 0x1000
"""Bytes of a flash page, and of the longest object of firmware."""
WORD_SIZE = 4
"""The flash takes whole words: the bootloader drops a write of another length, and says nothing."""
MBR_END = 0x1000
"""The master boot record begins at 0 and has the first page; without a SoftDevice, the application begins behind it."""
FLASH_SIZES = {
    "nrf52805": 0x30000,
    "nrf52810": 0x30000,
    "nrf52811": 0x30000,
    "nrf52820": 0x40000,
    "nrf52832": 0x80000,
    "nrf52833": 0x80000,
    "nrf52840": 0x100000,
}
"""Name of a chip and bytes of its flash."""
MOST_FLASH = max(FLASH_SIZES.values())
APP_DATA_SIZE = 3 * PAGE_SIZE
"""``NRF_DFU_APP_DATA_AREA_SIZE``: what the bootloader leaves to the application below itself, by default."""


def align_to_page(address: int) -> int:
    """The first start of a page that is not below ``address``."""
    return -(-address // PAGE_SIZE) * PAGE_SIZE
