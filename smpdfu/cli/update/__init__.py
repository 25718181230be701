"""Commands that install images: ``update`` and ``upload``."""
