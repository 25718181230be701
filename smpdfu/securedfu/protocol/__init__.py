"""What is said to a Secure DFU bootloader: messages, SLIP frames, and the transfer, without I/O and without a clock."""
