"""Errors between the computer and a device: the protocol, a refusal, the link."""

from __future__ import annotations

from enum import IntEnum

from smpdfu.errors.base import SmpdfuError


class ProtocolError(SmpdfuError):
    """A message breaks the rules of SMP."""


class LocalProtocolError(ProtocolError):
    """The request does not fit into SMP, for instance because it is longer than the device's buffer."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes are not SMP, or do not answer the request."""


_REASON_MAX = 500  # characters of a device's own text that a sentence has room for; ours are shorter


class DeviceError(SmpdfuError):
    """A well-formed refusal by the device.

    ``rc`` is a code of the SMP group ``group``, or one of SMP's own codes (``MgmtRc``) if that is None. ``command`` is
    the refused command (``"img upload"``), ``name`` the name of the code (``"NO_FREE_SLOT"``) or None. ``reason`` is
    the device's own text, if it sent one. ``explained``: ``reason`` is ours, and says what the code means and what to
    do.
    """

    def __init__(
        self,
        group: int | None,
        rc: int,
        command: str,
        *,
        name: str | None = None,
        reason: str | None = None,
        explained: bool = False,
    ) -> None:
        self.group = group
        self.rc = rc
        self.command = command
        self.name = name
        self.reason = reason
        self.explained = explained
        where = "SMP" if group is None else f"group {group}"
        text = f"the device refused {command}: {name or 'unknown code'} ({where}, rc {rc})"
        super().__init__(f"{text}: {reason[:_REASON_MAX]}" if reason else text)

    def is_code(self, code: IntEnum, group: int | None = None) -> bool:
        """True if this is ``code`` of ``group`` (None: SMP's own codes)."""
        return self.group == group and self.rc == code


UNKNOWN_SHELL_COMMAND = -8
"""The return value of Zephyr's shell for an unknown command: -ENOEXEC."""


class ShellCommandError(SmpdfuError):
    """The device ran a shell command, and the command returned ``ret``, which is not 0."""

    def __init__(self, ret: int) -> None:
        self.ret = ret
        unknown = ", as for a command that the shell does not know" if ret == UNKNOWN_SHELL_COMMAND else ""
        super().__init__(f"the command returned {ret}{unknown}")


class LinkError(SmpdfuError):
    """The wire between the computer and the device failed. ``address`` is the device's; None if it is not known."""

    address: str | None = None


class ConnectError(LinkError):
    """The link could not be opened. ``address`` is the address of the attempt."""

    def __init__(self, message: str, address: str | None = None) -> None:
        super().__init__(message)
        self.address = address


class NotReadyError(ConnectError):
    """This computer is not ready to reach any device."""


class LinkLostError(LinkError):
    """The link was open and is gone.

    ``reached``: False if nothing was ever heard from the device, for example if no program listens at a UDP port.
    ``closed``: True if this program closed the client itself, so that no request is repeated.
    """

    reached = True
    closed = False


class ResponseTimeoutError(LinkError):
    """No answer within ``timeout_s`` seconds, after ``attempts`` attempts.

    ``hint`` says what this may mean on this wire.
    """

    def __init__(self, command: str, timeout_s: float, attempts: int = 1, hint: str | None = None) -> None:
        tries = "" if attempts == 1 else f" in {attempts} attempts"
        text = f"the device did not answer {command} within {timeout_s:g} s{tries}"
        super().__init__(f"{text}; {hint}" if hint else text)
        self.command = command
        self.timeout_s = timeout_s
        self.attempts = attempts


class TransferTimeoutError(LinkError):
    """A transfer took longer than its limit: ``done`` of ``total`` bytes have arrived.

    ``total`` is None if not even the first byte was sent.
    """

    def __init__(self, what: str, timeout_s: float, done: int = 0, total: int | None = None) -> None:
        came = "" if total is None else f": {done} of {total} bytes have arrived"
        super().__init__(f"{what} did not end within {timeout_s:g} s{came}")
        self.timeout_s = timeout_s
        self.done = done
        self.total = total
