"""The hardware: memories, their layout, time."""
