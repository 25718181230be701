"""What is said: the SMP protocol without I/O, clock or threads."""
