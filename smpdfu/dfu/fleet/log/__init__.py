"""Keep what happened to a fleet: its log, the history of each device, what earlier runs have left."""
