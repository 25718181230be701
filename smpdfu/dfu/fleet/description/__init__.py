"""Read the description of a fleet: its file and its list of devices."""
