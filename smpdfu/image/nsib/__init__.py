"""NSIB, the immutable bootloaders b0 and b0n: how they know a firmware, and what they know of keys."""
