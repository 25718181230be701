"""The agent at work: one device, and all devices of a gateway."""
