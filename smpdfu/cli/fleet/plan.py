"""``fleet run --plan``: what the next run would do, and the rules by which the fleet continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.fleet.words import stop_advice
from smpdfu.cli.terminal.show import Output, table

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.description.file import Fleet
    from smpdfu.dfu.fleet.outcome import FleetPlan


def show_plan(plan: FleetPlan, out: Output) -> None:
    """Show the waves with their devices that are left, and the rules."""
    columns = ("wave", "devices", "to be done", "must succeed", "then wait")
    last = plan.waves[-1]  # nothing waits for its success
    rows = [
        (
            one.wave.name,
            len(one.wave.devices),
            len(one.left),
            "-" if one is last else one.needed,
            f"{one.wave.soak_s:g} s",
        )
        for one in plan.waves
    ]
    out.emit(_document(plan), lambda: table(plan.fleet.name, columns, rows))
    for line in _rules(plan.fleet):
        out.say(line)
    if plan.stopped is not None:
        out.warn(f"stopped: {plan.stopped}. {stop_advice(plan.stopped)}".rstrip())


def _document(plan: FleetPlan) -> dict[str, Any]:
    limits = plan.fleet.limits
    how = plan.fleet.treatment
    waves = [
        {
            "wave": one.wave.name,
            "devices": len(one.wave.devices),
            "left": one.left,
            "needed": one.needed,
            "soak_s": one.wave.soak_s,
        }
        for one in plan.waves
    ]
    return {
        "fleet": plan.fleet.name,
        "at_once": limits.at_once,
        "stopped": None if plan.stopped is None else str(plan.stopped),
        "waves": waves,
        "unproven": limits.unproven,
        "max_unreachable": limits.max_unreachable,
        "advice": "" if plan.stopped is None else stop_advice(plan.stopped),
        "no_downgrade": how.no_downgrade,
        "device_timeout_s": how.device_timeout_s,
        "transfer_timeout_s": how.transfer_timeout_s,
    }


def _rules(fleet: Fleet) -> list[str]:
    """The rules by which the fleet continues, for people."""
    limits = fleet.limits
    share = "wave_success in [fleet] sets the share"
    lines = [
        f"The next wave begins when enough devices of the wave before it have the package ('must succeed'). {share}."
    ]
    if limits.skip_unreachable:
        lines.append("Devices that do not answer are skipped.")
    else:
        spared = f", except the first {limits.max_unreachable}" if limits.max_unreachable else ""
        lines.append(
            f"Devices that do not answer count as failures{spared} (max_unreachable in [fleet]). "
            "--skip-unreachable skips all of them."
        )
    how = fleet.treatment
    lines.append(
        f"smpdfu stops the update of a device after {how.device_timeout_s:g} s (device_timeout_s). Its wave continues, "
        "and the next run continues the update."
    )
    if how.transfer_timeout_s is not None:
        lines.append(f"smpdfu stops an upload after {how.transfer_timeout_s:g} s (transfer_timeout_s).")
    if how.no_downgrade:
        lines.append("smpdfu refuses an application that is older than the running one. --allow-downgrade allows it.")
    return [*lines, _UNPROVEN[str(limits.unproven)]]


_UNPROVEN = {
    "continue": 'If nothing proves an update, the fleet continues. unproven = "stop" in [fleet] stops it.',
    "stop": "If nothing proves an update, no further device begins.",
}
