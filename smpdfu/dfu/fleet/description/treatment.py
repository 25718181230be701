"""How each device of a fleet, or of a gateway, is updated: the table ``[update]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import cast

from smpdfu.dfu.decide.device_state import Scheme
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.net_version import VersionRule
from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import FleetFileError


@dataclass(frozen=True, slots=True)
class Treatment:
    """How each device is updated, as by ``smpdfu.install``. Times are in seconds.

    ``device_timeout_s`` bounds the whole update of one device, from the moment at which it begins.
    """

    policy: Policy = Policy.TEST_AND_CONFIRM
    scheme: Scheme | None = None
    soak_s: float = 0.0
    health: str | None = None
    health_timeout_s: float = 60.0
    boot_timeout_s: float = 120.0
    timeout_s: float | None = None
    transfer_timeout_s: float | None = None
    device_timeout_s: float = 14400.0
    net_version_from: VersionRule | None = None
    no_downgrade: bool = True


def read_treatment(table: Table) -> Treatment:
    """Take the keys from ``[update]``, and refuse others. Raises FleetFileError."""
    times = {one.name: one.default for one in fields(Treatment) if one.name.endswith("_s")}
    scheme = table.choice("scheme", ("auto", *Scheme), "auto")
    seconds = {name: table.number(name, cast("float | None", default)) for name, default in times.items()}
    for name, value in seconds.items():
        if value == 0 and name != "soak_s":
            raise FleetFileError(f"{name!r} in {table.where} is 0; it must be larger")
    _leave_time_to_soak(seconds, table.where)
    treatment = Treatment(
        policy=Policy(table.choice("policy", tuple(Policy), Policy.TEST_AND_CONFIRM)),
        scheme=None if scheme == "auto" else Scheme(scheme),
        health=table.text("health", None),
        net_version_from=table.rule("net_version_from"),
        no_downgrade=table.switch("no_downgrade", default=True),
        **seconds,  # type: ignore[arg-type]  # see fields
    )
    table.nothing_else()
    return treatment


def _leave_time_to_soak(seconds: Mapping[str, float | None], where: str) -> None:
    soak_s = cast("float", seconds["soak_s"])
    whole_s = cast("float", seconds["device_timeout_s"])
    if soak_s >= whole_s:
        raise FleetFileError(
            f"'soak_s' in {where} is {soak_s:g} and leaves no time for the update: 'device_timeout_s' is {whole_s:g}"
        )
