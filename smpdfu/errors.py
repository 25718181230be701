"""Every exception of smpdfu, in one tree.

The class says who is to blame, the attributes say where and what. The message says what happened and why.
``cli/app/main.py`` adds what to do next, and the exit code. Wrong use of the API raises ``ValueError``, which is not
one of these. Faults inside the virtual chip (of flash, a power cut) stay in ``virtual/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

TYPE_CHECKING = False  # of typing, which takes its time
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_NO_FACTS: Mapping[str, str] = MappingProxyType({})


class SmpdfuError(Exception):
    """Base of everything that a device, a file, a cable or a typing error can cause.

    ``code`` names the cause where one class has several, else it is empty. ``facts`` are the values that belong to it.
    A program can choose its own words for the next step by them, as ``cli/app/advice_by_code.py`` does.
    """

    code: str = ""
    facts: Mapping[str, str] = _NO_FACTS

    def because(self, code: str, **facts: str) -> Self:
        """Set ``code`` and ``facts``; return the error, to be raised."""
        self.code = code
        self.facts = facts
        return self


# --- images ---------------------------------------------------------------------------------------------------------


class ImageError(SmpdfuError):
    """An image, or the request to build one, is not valid."""


class FormatError(ImageError):
    """Bytes do not have the format they should have.

    ``offset`` is the position, in bytes, where reading failed; None when it has no position.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class TooLargeError(ImageError):
    """An image does not fit: ``size_bytes`` is more than ``limit_bytes``."""

    def __init__(self, message: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


# --- keys and signatures --------------------------------------------------------------------------------------------


class SigningError(SmpdfuError):
    """Signing, encrypting or a key went wrong."""


class KeyFileError(SigningError):
    """A key cannot be read, is of the wrong kind, or is protected by a passphrase that was not given."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class PassphraseError(KeyFileError):
    """A key is protected, and its passphrase is missing or wrong."""


class WrongPassphraseError(PassphraseError):
    """A passphrase was given, and does not open the key."""


class SignatureError(SigningError):
    """A signature does not verify."""


# --- the protocol ---------------------------------------------------------------------------------------------------


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


# --- the link -------------------------------------------------------------------------------------------------------


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


# --- packages and updates -------------------------------------------------------------------------------------------


class PackageError(SmpdfuError):
    """A file is not a usable dfu_application.zip."""


class EvidenceError(SmpdfuError):
    """An SBOM or the provenance of a package cannot be read or written, or does not belong to the package."""


class SearchError(SmpdfuError):
    """A search for devices that run an image found some, or cannot tell it of some.

    ``affected`` and ``unknown`` are how many of ``total`` devices.
    """

    def __init__(self, affected: int, unknown: int, total: int) -> None:
        if affected:
            more = f"; unknown: {unknown}" if unknown else ""
            text = f"affected devices: {affected} of {total}{more}"
        else:
            text = f"unknown devices: {unknown} of {total}; none is known to be affected"
        super().__init__(text)
        self.affected = affected
        self.unknown = unknown
        self.total = total


class AffectedDevicesError(SearchError):
    """Some devices run an image that was asked for."""


class UnknownDevicesError(SearchError):
    """No device is known to run an image that was asked for, and some may."""


class FleetFileError(SmpdfuError):
    """The file that describes a fleet is not valid."""


class UpdateError(SmpdfuError):
    """An update did not end as planned."""


class PlanError(UpdateError):
    """Preflight or the plan refused before the first write; the device is untouched.

    ``findings`` are the reasons, one sentence each, ``codes`` their stable names, the first of which is ``code``.
    """

    def __init__(self, message: str, findings: tuple[str, ...] = (), codes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings
        self.codes = codes
        self.code = codes[0] if codes else ""


class StepError(UpdateError):
    """A step failed. If ``resumable`` is True, make the same call again to continue."""

    def __init__(self, message: str, step: str, *, resumable: bool) -> None:
        super().__init__(message)
        self.step = step
        self.resumable = resumable


class DeviceTimeoutError(UpdateError):
    """smpdfu stopped the update of a device of a fleet after ``timeout_s`` seconds. The next run continues it."""

    def __init__(self, timeout_s: float, step: str = "") -> None:
        where = f" in the step '{step}'" if step else ""
        super().__init__(
            f"the update of this device did not end within {timeout_s:g} s (device_timeout_s) and was stopped{where}"
        )
        self.timeout_s = timeout_s
        self.step = step


class FleetError(UpdateError):
    """A fleet is not complete. ``file`` describes it; ``devices`` of ``total`` devices are the reason."""

    def __init__(self, message: str, file: Path, devices: int = 0, total: int = 0) -> None:
        super().__init__(message)
        self.file = file
        self.devices = devices
        self.total = total


class FleetPausedError(FleetError):
    """Somebody paused the fleet, and nobody has resumed it."""

    def __init__(self, file: Path) -> None:
        super().__init__("the fleet is paused: smpdfu began no device", file)


class FleetUnfinishedError(FleetError):
    """Some devices do not have their package yet; the next run continues."""

    def __init__(self, file: Path, devices: int, total: int) -> None:
        text = f"the fleet is not finished: {devices} of {total} devices are without their package"
        super().__init__(text, file, devices, total)


class FleetFailedError(FleetError):
    """Some devices do not have their package, and the next run does not try them again."""

    def __init__(self, file: Path, devices: int, total: int) -> None:
        text = f"the fleet failed: {devices} of {total} devices are without their package"
        super().__init__(text, file, devices, total)


class FleetUnprovenError(FleetError):
    """Every device seems to have its package, but nothing proves some updates, and the caller required proof."""

    def __init__(self, file: Path, devices: int, total: int) -> None:
        super().__init__(f"nothing proves the update of {devices} of {total} devices", file, devices, total)


class AbsentError(StepError):
    """The device did not come back after a reset; the next call checks what happened."""


class NotBackError(StepError):
    """The device did not come back after a reset, and no later call can continue: there is no journal."""

    def __init__(self, message: str, step: str) -> None:
        super().__init__(message, step, resumable=False)


class NoEffectError(StepError):
    """The device accepted a command, but shows no effect. To repeat it does not help."""

    def __init__(self, message: str, step: str) -> None:
        super().__init__(message, step, resumable=False)


class NotBootedError(StepError):
    """The device answers, but did not boot after a reset. ``acknowledged``: it acknowledged the reset."""

    def __init__(self, message: str, step: str, *, acknowledged: bool) -> None:
        super().__init__(message, step, resumable=True)
        self.acknowledged = acknowledged


class RevertedError(UpdateError):
    """The new image failed: the device runs its previous firmware.

    ``ran``: whether the new image ran at all; None if that is not known. ``of_network_core``: only the network core
    keeps its firmware; the application core may run its new image. ``partly``: the new application runs, and an image
    that goes with it was not installed.
    """

    def __init__(
        self, message: str, *, ran: bool | None = None, of_network_core: bool = False, partly: bool = False
    ) -> None:
        super().__init__(message)
        self.ran = ran
        self.of_network_core = of_network_core
        self.partly = partly


class UnprovenError(UpdateError):
    """An update seems to have succeeded, but nothing proves it, and the caller required proof."""


class JournalError(UpdateError):
    """The journal of an update cannot be read or written."""


# --- the gateway agent ----------------------------------------------------------------------------------------------


class AgentFileError(SmpdfuError):
    """The file that describes an agent is not valid."""


class ServerError(SmpdfuError):
    """The exchange with the update server failed. ``url`` is the address without its query; empty if not known."""

    url: str = ""


class ServerLinkError(ServerError):
    """The server cannot be reached: name, network, TLS, or no answer in time."""


class ServerRefusedError(ServerError):
    """The server answered, and refused.

    ``status`` is the HTTP status. ``server_code`` is the error code in the body (of hawkBit, for example
    ``hawkbit.server.error.quota.tooManyEntries``), empty if there is none. ``retry_after_s`` is how long the server
    asks us to wait; None if it does not say.
    """

    def __init__(self, message: str, status: int, *, server_code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.server_code = server_code
        self.retry_after_s = retry_after_s


class ServerProtocolError(ServerError):
    """The server's answer is not what its protocol says: HTML, wrong JSON, too large, a link that is not allowed."""


class ActionsFailedError(UpdateError):
    """Updates that an update server ordered failed in this round: of ``devices`` devices."""

    def __init__(self, devices: int) -> None:
        super().__init__(f"updates that failed in this round: {devices}")
        self.devices = devices


class ActionsUnfinishedError(UpdateError):
    """Actions of an update server are not finished, or it does not have their results: of ``devices`` devices."""

    def __init__(self, devices: int) -> None:
        super().__init__(f"actions that are not finished: {devices}")
        self.devices = devices


class ArtifactError(SmpdfuError):
    """A file of the server cannot be used or kept: wrong hash or size, no SHA-256, no space.

    ``temporary``: True if a later attempt may succeed without a change at the server, as after a full disk.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class PublishError(SmpdfuError):
    """The server has something else under the name of what is to be published: smpdfu changes nothing there."""


class RolloutFailedError(SmpdfuError):
    """A rollout ended without success: it passed its error threshold, or a person stopped it."""


class RolloutUnfinishedError(SmpdfuError):
    """A rollout waits for something at the server. The same call continues later."""
