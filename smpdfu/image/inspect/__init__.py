"""What kind of file is this? Told by its content."""
