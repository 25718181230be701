"""The types of keys by name, and names in source code. Imports nothing, because completion and each parser need it."""

KEY_TYPES = ("rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519", "x25519")
"""The names of ``image.keys.keys.KINDS``, in that order."""


def is_name_suffix(text: str) -> bool:
    """True if ``text`` can stand at the end of a name in C and Rust."""
    return all(letter == "_" or (letter.isascii() and letter.isalnum()) for letter in text)
