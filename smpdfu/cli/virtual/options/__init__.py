"""Options of ``virtual new`` and ``virtual run``, and the device that they describe."""
