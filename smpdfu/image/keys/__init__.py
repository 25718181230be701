"""Keys: read, written, exported, recognised."""
