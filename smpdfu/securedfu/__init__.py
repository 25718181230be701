"""Secure DFU of the nRF5 SDK: the older bootloaders of nRF52 devices."""
