"""The bootloaders of both cores: MCUboot and b0n."""
