"""What this computer lacks for talking to a device."""
