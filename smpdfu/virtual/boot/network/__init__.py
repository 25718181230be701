"""The network core, and how MCUboot hands its firmware over."""
