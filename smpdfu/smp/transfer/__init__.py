"""Transfers in pieces: cutting, counting, requests in flight, repeats; without input or output."""
