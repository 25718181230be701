"""Commands that install images: ``list``, ``upload``, ``update``, ``test``, ``confirm``, ``erase``, ``reset``."""
