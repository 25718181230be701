"""Commands about image files: ``sign``, ``verify``, ``inspect``, ``package``."""
