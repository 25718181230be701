"""What smpdfu keeps on this computer between commands: folders, locks, its own files."""
