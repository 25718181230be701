"""smpdfu's state on this computer between commands: folders, locks, its own files."""
