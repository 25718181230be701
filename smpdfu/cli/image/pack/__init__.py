"""``package``: its options, the two sources of firmware, and what it prints."""
