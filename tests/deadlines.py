"""How long a test waits for what comes in real time, from another process or through the kernel."""

HANG_S = 600.0
"""Ends a test that hangs, and nothing else: a computer that does other things meanwhile is never so slow."""
