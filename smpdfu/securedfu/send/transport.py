"""The interface of the wires to a Secure DFU bootloader."""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class CameBack(Enum):
    """What runs on the device after a restart, as far as the wire shows it.

    ``UNKNOWN``: the bootloader does not answer any more, and nothing else can be seen. The application may run.
    """

    BOOTLOADER = "bootloader"
    APPLICATION = "application"
    UNKNOWN = "unknown"


class Transport(Protocol):
    """A connection to the bootloader of one device.

    Each method raises ``LinkError`` if the link fails, and nothing else. ``open`` may be called again after a loss, or
    after a restart of the device: it finds the same device again.

    ``name`` is the far end in words for people. ``write_size`` is the most bytes of an object in one ``write_data``,
    from ``open`` on; None: the bootloader reports its MTU. ``bytes_per_s``: the rate of the wire, if it has a known
    one: what was accepted may still be on its way. ``receipts`` is how many writes the device confirms together (packet
    receipt notification; 0: it confirms none), and never more than ``writes_max`` are unconfirmed, if there are
    receipts. ``pings``: the bootloader answers ``Ping`` on this wire, so that old answers can be told from new ones.
    ``write_ahead``: flow control keeps what is sent while the device erases a page, and the bootloader takes it after
    what it does then. ``starts_bootloader``: ``open`` can start the bootloader from the application.
    """

    @property
    def name(self) -> str: ...
    @property
    def write_size(self) -> int | None: ...
    @property
    def bytes_per_s(self) -> float | None: ...
    @property
    def receipts(self) -> int: ...
    @property
    def writes_max(self) -> int: ...
    @property
    def pings(self) -> bool: ...
    @property
    def write_ahead(self) -> bool: ...
    @property
    def starts_bootloader(self) -> bool: ...

    @property
    def through_debugger(self) -> bool | None:
        """Whether the wire goes through an on-board J-Link, which may damage it; None if that is not known."""
        ...

    async def open(self) -> None:
        """Connect to the bootloader, and bring the device into it where the wire can. Raises LinkError."""
        ...

    async def close(self) -> None:
        """Let go of the wire. Never raises; may be called in any state."""
        ...

    async def request(self, message: bytes) -> None:
        """Send a request (``Request.to_bytes``)."""
        ...

    async def write_data(self, data: bytes) -> None:
        """Send bytes of an object, at most ``write_size``. Returns when the wire has room for more."""
        ...

    async def read(self) -> bytes:
        """Wait for one answer and return it (``Answer.from_bytes``). Loses nothing when cancelled.

        Returns no bytes if something arrived that is no whole frame.
        """
        ...

    async def came_back(self, within_s: float) -> CameBack:
        """Watch the device for ``within_s`` seconds after its restart; return what runs, as soon as that is known.

        Closes the connection, and leaves none open.
        """
        ...
