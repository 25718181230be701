"""Commands for what is in the slots: ``list``, ``test``, ``confirm``, ``erase``, ``reset``, ``info``."""
