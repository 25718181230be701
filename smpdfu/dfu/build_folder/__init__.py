"""What a build folder of the nRF Connect SDK says of itself, and a package made of it.

Readers (``kconfig``, ``devicetree``, ``partitions``, ``documents``) take bytes and give values; ``find`` puts them
together to a ``Build``; ``making`` makes the package.
"""
