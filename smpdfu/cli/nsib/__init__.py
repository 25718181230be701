"""NSIB on the command line: ``seal`` and ``provision``."""
