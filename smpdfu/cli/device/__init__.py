"""Commands that talk to one device."""
