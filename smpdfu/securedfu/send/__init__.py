"""Sending a Secure DFU package to a device, over the wires of ``link/``."""
