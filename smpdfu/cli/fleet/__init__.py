"""Commands about many devices."""
