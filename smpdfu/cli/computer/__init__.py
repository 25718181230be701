"""Commands about this computer: ``scan``, ``doctor``; and ``decode``, which needs no device."""
