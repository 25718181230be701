"""The interface between the cores, which both sides of a firmware must speak alike.

What is called over it is a matter of how both cores were built; the chip compares nothing, and a device whose cores do
not fit together boots and has no radio. This is modelled by a mark that firmware may carry anywhere in it, the text
``smpdfu-interface:`` with a number and a semicolon. Firmware without the mark fits all other.
"""

from __future__ import annotations

import re

_MARK = re.compile(rb"smpdfu-interface:([0-9]{1,9});")


def interface_of(firmware: bytes) -> int | None:
    """The number of the interface that firmware was built for; None where it does not say."""
    found = _MARK.search(firmware)
    return None if found is None else int(found[1])


def fit_together(application: bytes, network: bytes) -> bool:
    """True unless both say which interface they speak, and not the same."""
    numbers = {interface_of(application), interface_of(network)} - {None}
    return len(numbers) < 2
