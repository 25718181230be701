"""The modes of MCUboot: how each finds the image that it starts."""
