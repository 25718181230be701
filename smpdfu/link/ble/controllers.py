"""Which Bluetooth controllers smpdfu opens: an allow-list in front of bumble's own names.

bumble also opens files, listens on ports, and hands serial paths to pyserial, whose ``spy://`` writes to any file.
A controller may come from a configuration file, so only names that lead to a controller pass.
"""

from __future__ import annotations

import re

from smpdfu.errors import ConnectError

EXAMPLES = "usb:0, serial:/dev/ttyACM0,1000000, hci-socket:0 or tcp-client:HOST:PORT"

_LONGEST = 256  # characters: more than any, and few enough for the pattern to be judged at once
_ALLOWED = re.compile(
    r"(?:usb|pyusb):[0-9A-Za-z][0-9A-Za-z:/#.+-]*!?"
    r"|hci-socket(?::[0-9]{1,5})?"
    r"|tcp-client:(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?\]|[0-9A-Fa-f:.]*::?[0-9A-Fa-f:.]*):[0-9]{1,5}"
    r"|serial:(?!.*://)[^\[\]\0-\x1f\x7f]+"
)


def check_controller(name: str) -> None:
    """Raise ConnectError for what is not the name of a controller that smpdfu opens."""
    if len(name) > _LONGEST or _ALLOWED.fullmatch(name) is None:
        raise ConnectError(
            f"the Bluetooth controller {name[:_LONGEST]!r} cannot be opened: smpdfu opens only controllers such as "
            f"{EXAMPLES}",
            name,
        )


def serial_port_of(name: str) -> str | None:
    """The serial port that a controller is at; None for another kind."""
    kind, _, rest = name.partition(":")
    return rest.split(",", 1)[0] if kind == "serial" else None
