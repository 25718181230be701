"""``smpdfu virtual`` for devices that are an nRF52 with the nRF5 SDK's secure bootloader."""
