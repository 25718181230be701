"""The HTTP client of DDI."""
