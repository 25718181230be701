"""``secure-dfu``: packages of the nRF5 SDK's bootloader, made, shown and sent."""
