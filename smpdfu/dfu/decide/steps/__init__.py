"""Which steps are left, in which order: the rules as tables."""
