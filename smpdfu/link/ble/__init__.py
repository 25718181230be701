"""Bluetooth LE: SMP over GATT."""
