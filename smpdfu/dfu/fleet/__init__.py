"""Many devices from one file: order, limits, log and history."""
