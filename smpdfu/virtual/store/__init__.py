"""Virtual devices kept in files between commands."""
