"""Secure DFU of the nRF5 SDK: its packages and init packets, as bytes and as values."""
