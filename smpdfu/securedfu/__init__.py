"""Secure DFU of the nRF5 SDK: packages made and judged, the protocol, and sending."""
