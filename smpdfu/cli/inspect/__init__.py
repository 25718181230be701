"""The command ``inspect``: what a file is and what is in it."""
