"""``fleet run --plan``: what would be done, and what decides whether the fleet continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import Output, table

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.file import Fleet
    from smpdfu.dfu.fleet.schedule import Schedule


def show_plan(fleet: Fleet, schedule: Schedule, out: Output) -> None:
    """The waves with what is left of each, and the rules; no device is asked."""
    waves: list[dict[str, Any]] = []
    for wave in fleet.waves:
        left = [name for name in wave.devices if name not in schedule.outcomes]
        needed = 0 if wave is fleet.waves[-1] else fleet.limits.needed(len(wave.devices))
        waves.append(
            {"wave": wave.name, "devices": len(wave.devices), "left": left, "needed": needed, "soak_s": wave.soak_s}
        )
    limits = fleet.limits
    data = {"fleet": fleet.name, "at_once": limits.at_once, "stopped": schedule.stopped, "waves": waves}
    data |= {"unproven": limits.unproven, "max_unreachable": limits.max_unreachable, "advice": schedule.advice}
    how = fleet.treatment
    data |= {"no_downgrade": how.no_downgrade, "device_timeout_s": how.device_timeout_s}
    data["transfer_timeout_s"] = how.transfer_timeout_s
    rows = [(one["wave"], one["devices"], len(one["left"]), one["needed"], f"{one['soak_s']:g} s") for one in waves]
    columns = ("wave", "devices", "to be done", "must succeed", "then wait")
    out.emit(data, lambda: table(fleet.name, columns, rows))
    for line in _rules(fleet):
        out.say(line)
    if schedule.stopped:
        out.warn(f"stopped: {schedule.stopped}. {schedule.advice}".rstrip())


def _rules(fleet: Fleet) -> list[str]:
    """What decides whether the fleet continues."""
    limits = fleet.limits
    share = "wave_success in [fleet] sets the share"
    lines = [
        f"The next wave begins when as many devices of the one before have the package as 'must succeed' says; {share}."
    ]
    if limits.skip_unreachable:
        lines.append("Devices that do not answer are skipped.")
    else:
        lines.append(
            f"Up to {limits.max_unreachable} devices that do not answer count as no failure (max_unreachable); "
            "--skip-unreachable skips them all."
        )
    how = fleet.treatment
    lines.append(
        f"smpdfu stops the update of a device after {how.device_timeout_s:g} s (device_timeout_s). Its wave continues, "
        "and the next run continues the update."
    )
    if how.transfer_timeout_s is not None:
        lines.append(f"smpdfu stops an upload after {how.transfer_timeout_s:g} s (transfer_timeout_s).")
    if how.no_downgrade:
        lines.append("An application that is older than the one that runs is refused; --allow-downgrade allows it.")
    return [*lines, _UNPROVEN[str(limits.unproven)]]


_UNPROVEN = {
    "continue": 'If nothing proves an update, the fleet continues; unproven = "stop" in [fleet] stops it.',
    "stop": "If nothing proves an update, no further device begins.",
}
