"""What an update has come to: the one place that says whether it is proven."""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.dfu.decide.checks.findings import Finding
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.evidence import Proof
from smpdfu.dfu.decide.plan import Policy
from smpdfu.dfu.do.update import Decision, Event, StepDone
from smpdfu.dfu.package.package import Core, Package


@dataclass(frozen=True, slots=True)
class Installed:
    """An update that ended well.

    ``changed``: False if the device had the package already. ``proven``: True if it is known of each image of the
    package that its core took it, False if it is not known of the network core's; None where nothing was to be booted
    (``Policy.UPLOAD_ONLY``). ``proof`` is what is known of the network core, None without an image for it. ``state`` is
    what the device says now, ``findings`` what was found before.
    """

    changed: bool
    proven: bool | None
    state: DeviceState
    findings: tuple[Finding, ...]
    proof: Proof | None = None


class UpdateResult:
    """Follows the events of an update; ``state``, ``proof`` and ``proven`` are as of the last one."""

    def __init__(self, package: Package, decision: Decision, policy: Policy) -> None:
        self._package, self._decision, self._policy = package, decision, policy
        self.state, self.proof = decision.state, decision.proof

    def add(self, event: Event) -> None:
        """An event more."""
        if isinstance(event, StepDone):
            self.state = event.state
            self.proof = event.proof or self.proof

    @property
    def proven(self) -> bool | None:
        """See ``Installed``. An application proves itself by its running hash, or the update does not end well."""
        if self._policy is Policy.UPLOAD_ONLY:
            return None
        return self._package.image(Core.NET) is None or (self.proof is not None and self.proof.value is True)

    def installed(self) -> Installed:
        """The update has ended well."""
        return Installed(bool(self._decision.plan.steps), self.proven, self.state, self._decision.findings, self.proof)
