"""A virtual nRF52 with the secure bootloader of the nRF5 SDK (Secure DFU)."""
