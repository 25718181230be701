"""The wires at which a virtual device can be reached."""
