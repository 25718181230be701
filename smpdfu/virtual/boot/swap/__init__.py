"""How the bootloader moves images between slots: swap by move, offset or scratch, and overwrite."""
