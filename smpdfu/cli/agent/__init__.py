"""Commands about gateways and the update server."""
