"""What must happen to a device, as pure functions of package, device state and evidence."""
