"""Secure DFU: what goes wrong with the older bootloaders of the nRF5 SDK."""

from __future__ import annotations

from smpdfu.errors.base import SmpdfuError
from smpdfu.errors.device import LinkError

TYPE_CHECKING = False  # of typing, which takes its time
if TYPE_CHECKING:
    from typing import Self


class AdvisedError(SmpdfuError):
    """An error that says what to do: ``advice`` is a sentence or two; empty if nobody can say."""

    advice: str = ""

    def advising(self, code: str, advice: str) -> Self:
        """Set ``code`` and ``advice``; return the error, to be raised."""
        self.code, self.advice = code, advice
        return self


class SecureDfuError(AdvisedError):
    """A Secure DFU package was not installed."""


class DfuRefusedError(SecureDfuError):
    """The bootloader refused a request; its running firmware is unchanged.

    ``request`` is "create" or "execute" or another one, ``result`` the code of the answer, ``extended`` the code behind
    the result 0x0B, or None. ``name`` has the names of both, as the nRF5 SDK has them.
    """

    def __init__(self, message: str, request: str, result: int, extended: int | None = None, *, name: str) -> None:
        super().__init__(message)
        self.request = request
        self.result = result
        self.extended = extended
        self.name = name


class DfuNotStartedError(SecureDfuError):
    """The bootloader took everything, and runs again itself: the application that was sent does not run."""


class DfuUnfinishedError(SecureDfuError):
    """The first part of a package is installed, and the next one is not. The same call continues."""


class DamagedLineError(LinkError, AdvisedError):
    """Too much of what passes on the line is damaged: ``damaged`` answers in a row could not be used.

    ``off`` of ``total`` bytes of the firmware are in the device, which waits in its bootloader: the same call
    continues. ``through_debugger``: whether the line leads through an on-board J-Link; None if that is not known.
    """

    through_debugger: bool | None = None

    def __init__(self, damaged: int, off: int, total: int) -> None:
        super().__init__(
            f"the line damages bytes: {damaged} answers in a row were unreadable or had a wrong checksum. "
            f"{off} of {total} bytes are in the device, which waits in its bootloader"
        )
        self.code = "dfu-damaged-line"
        self.damaged = damaged
        self.off = off
        self.total = total


class SilentBootloaderError(LinkError, AdvisedError):
    """The bootloader does not answer. ``heard``: it did before, and ``off`` of ``total`` bytes are in the device."""

    def __init__(self, *, heard: bool, off: int, total: int) -> None:
        super().__init__(
            f"the bootloader stopped answering; {off} of {total} bytes are in the device"
            if heard
            else "no Secure DFU bootloader answers here"
        )
        self.heard = heard
        self.off = off
        self.total = total

    def found_nobody_at(self, place: str) -> None:
        """Name the place where nothing was heard."""
        self.args = (f"no Secure DFU bootloader answers at {place}",)


class InconsistentBootloaderError(LinkError, AdvisedError):
    """The bootloader answers, and its answers do not fit together. ``off`` of ``total`` bytes are in the device."""

    def __init__(self, off: int, total: int) -> None:
        super().__init__(
            f"the answers of the bootloader contradict each other, or are not those to the requests: the transfer does "
            f"not move on. {off} of {total} bytes are in the device"
        )
        self.off = off
        self.total = total
