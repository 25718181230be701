"""What the agent knows of the action of one device, and what it does next."""
