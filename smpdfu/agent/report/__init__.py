"""What the agent tells people: log events, status, metrics."""
