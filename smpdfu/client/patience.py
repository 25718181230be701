"""How long a client waits for a device that restarts, is busy or was lost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    ``reconnect_s``: how long a client tries to open a lost link again. ``reset_grace_s``: how long a device may take to
    go down after it acknowledged a reset (Zephyr waits 250 ms). ``quiet_s``: silence on the console that ends the text
    of a boot; some boards hang if bytes arrive while they boot. ``quiet_max_s``: how long a client waits for that
    silence in one boot; some boards are never silent. ``ping_s``: how often a client asks a device that may be booting
    whether it answers. ``pause_s``: the pause before a client asks again, after the device was absent or busy.
    """

    reconnect_s: float = 10.0
    reset_grace_s: float = 0.5
    quiet_s: float = 0.2
    quiet_max_s: float = 3.0
    ping_s: float = 1.0
    pause_s: float = 0.1


DEFAULT_PATIENCE = Patience()
