"""NSIB on the application core: b0, and MCUboot as the second stage that it starts from S0 or S1."""
