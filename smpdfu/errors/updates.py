"""Errors of packages, updates and fleets."""

from __future__ import annotations

from smpdfu.errors.base import SmpdfuError

TYPE_CHECKING = False  # of typing, which takes its time
if TYPE_CHECKING:
    from pathlib import Path


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
