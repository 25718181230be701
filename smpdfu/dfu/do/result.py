"""What an update has come to: the one place that says whether it is proven."""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.dfu.decide.checks.findings import Finding
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package


@dataclass(frozen=True, slots=True)
class Installed:
    """An update that ended well.

    ``changed``: False if the device had the package already. ``proven``: True if it is known of each image of the
    package that its core took it, False if it is not known of one; None where nothing was to be booted
    (``Policy.UPLOAD_ONLY``). ``proof`` is what is known of the network core, or why the application could not be
    checked; None without an image for the network core. ``state`` is what the device says now, ``findings`` what was
    found before.
    """

    changed: bool
    proven: bool | None
    state: DeviceState
    findings: tuple[Finding, ...]
    proof: Proof | None = None


def is_proven(package: Package, policy: Policy, proof: Proof | None) -> bool | None:
    """See ``Installed``. An application proves itself by its running hash, or ``proof`` says why it cannot."""
    if policy is Policy.UPLOAD_ONLY:
        return None
    return package.image(Role.NET) is None if proof is None else proof.value is True
