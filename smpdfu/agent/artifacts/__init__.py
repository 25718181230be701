"""Files that the server gives out, kept by their SHA-256."""
