"""What a treatment of devices means for one of them: its health checks, and how to ask for the network core's version.

``FleetRun`` and a gateway agent use it.
"""

from __future__ import annotations

from smpdfu.dfu.do import health as healths
from smpdfu.dfu.do.health import Health
from smpdfu.dfu.do.net_version import AskVersion
from smpdfu.dfu.fleet.description.treatment import Treatment


def health_of(how: Treatment, address: str) -> Health:
    """The checks of an application on trial, for the device at ``address``."""
    checks = [healths.soak(how.soak_s)]
    if how.health is not None:
        checks.append(healths.command(how.health, address, timeout_s=how.health_timeout_s))
    return healths.all_of(checks)


def ask_version_of(how: Treatment, address: str) -> AskVersion | None:
    """How the device at ``address`` is asked for its network core's version; None if the file does not say."""
    rule = how.net_version_from
    return None if rule is None else rule.ask(address, timeout_s=how.health_timeout_s)
