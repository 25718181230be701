"""The agent file: server, authentication, devices, limits."""
