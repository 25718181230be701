"""The formats of the files in a build folder: bytes to values, each bounded."""
