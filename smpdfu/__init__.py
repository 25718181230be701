"""smpdfu: sign, encrypt, pack and update nRF5340 firmware over SMP."""

__version__ = "0.1.0"
