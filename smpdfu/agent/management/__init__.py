"""hawkBit's management API, as far as publishing needs it."""
