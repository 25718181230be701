"""Commands about virtual devices."""
