"""What a terminal shows and takes: output, values, help, Ctrl-C."""
