"""A gateway agent: the work that a hawkBit server gives out, done on the devices of this gateway."""
