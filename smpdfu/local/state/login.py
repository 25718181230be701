"""Who is logged in to this computer."""

from __future__ import annotations

import getpass


def login_name() -> str:
    """Return the login name of the user; "" if the system has none, as in a container without a list of users."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them depends on the system and the version of Python
        return ""
