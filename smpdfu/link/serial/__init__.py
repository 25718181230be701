"""Serial ports: UARTs, USB, pseudo terminals."""
