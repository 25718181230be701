"""How files and images travel in pieces: cut, counted, kept in flight and sent again; no input or output."""
