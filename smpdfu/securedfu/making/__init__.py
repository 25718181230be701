"""From an order to the bytes of a package: firmware files are read, checked, described and signed."""
