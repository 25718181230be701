"""The journal of the updates of a device, its repair, and the lock that one update at a time holds."""
