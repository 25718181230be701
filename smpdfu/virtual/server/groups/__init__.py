"""The groups of commands that the virtual application serves: one module per SMP group."""
