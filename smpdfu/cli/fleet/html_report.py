"""The report of a fleet in one HTML file: failures first. It loads nothing, and is readable without its script."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from smpdfu import __version__
from smpdfu.cli.fleet.report_page import COLOURS, POLICY, SCRIPT, STEP_COLOURS, STYLE
from smpdfu.cli.fleet.words import next_command
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.log.history import Course, History
    from smpdfu.dfu.fleet.session import FleetStatus

_RANK = {state: rank for rank, state in enumerate(COLOURS)}
_HASH_DIGITS = 12


def page(status: FleetStatus) -> str:
    """Return the whole page. Everything from outside is escaped."""
    return "\n".join(_parts(status)) + "\n"


def _parts(status: FleetStatus) -> Iterator[str]:
    history = status.history
    name = _text(history.fleet.name)
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield f"<title>Fleet {name}</title>"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{STYLE}svg {{ background-size: {_tick_width(history)} 100%; }}</style></head><body>"
    yield f"<h1>Fleet {name}</h1>"
    yield f'<p class="lead">{_when(history)}<br>{_who(history)}</p>'
    if history.stopped:
        yield f"<p><strong>Stopped:</strong> {_text(history.stopped)}</p>"
    yield f"<p><strong>Next:</strong> {_next(status)}</p>"
    yield from _outcomes(history)
    yield '<div class="sections">'
    yield from _grouped("Failures by cause", "cause", history.causes(unreachable=False))
    yield from _grouped("Devices that do not answer", "cause", history.causes(unreachable=True))
    yield from _grouped("Unproven by reason", "reason", history.doubts())
    yield from _waves(history)
    yield from _packages(status)
    yield "</div>"
    yield from _devices(history)
    yield f"<script>{SCRIPT}</script></body></html>"


def _when(history: History) -> str:
    total = len(history.courses)
    if history.began is None or history.ended is None:
        return f"{total} devices; no run yet"
    spent = history.ended - history.began
    return f"{total} devices; {_clock(history.began)} to {_clock(history.ended)} UTC, {_duration(spent)}"


def _who(history: History) -> str:
    operators = ", ".join(map(_text, history.operators)) or "not recorded"
    tools = ", ".join(map(_text, history.tools)) or "not recorded"
    return f"Operator: {operators}. smpdfu of the runs: {tools}; of this report: {__version__}"


def _next(status: FleetStatus) -> str:
    if command := next_command(status):
        return f"<code>{_text(command)}</code>"
    return "a process runs this fleet" if status.running_pid is not None else "nothing is left to do"


def _outcomes(history: History) -> Iterator[str]:
    counts = history.counts()
    total = sum(counts.values()) or 1
    ordered = [state for state in COLOURS if state in counts]
    yield '<div class="bar" role="img" aria-label="Outcomes">'
    for state in ordered:
        yield f'<div style="width:{100 * counts[state] / total:.3f}%;background:{COLOURS[state]}"></div>'
    yield '</div><div class="legend">'
    for state in ordered:
        yield f"<span>{_dot(state)}{state} {counts[state]} ({100 * counts[state] / total:.1f} %)</span>"
    yield "</div>"


def _grouped(title: str, column: str, found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if not found:
        return
    yield f'<section><h2>{title}</h2><div class="scroll"><table class="few">'
    yield f"<tr><th>{column}</th><th>devices</th><th>which</th></tr>"
    for cause, names in found.items():
        shown = ", ".join(_text(name) for name in names)
        yield f'<tr><td>{_text(cause)}</td><td class="n">{len(names)}</td><td><small>{shown}</small></td></tr>'
    yield "</table></div></section>"


def _waves(history: History) -> Iterator[str]:
    columns = ("wave", "devices", "good", "unproven", "failed", "unreachable", "left")
    head = "".join(f"<th>{column}</th>" for column in columns)
    yield f'<section><h2>Waves</h2><div class="scroll"><table class="few"><tr>{head}</tr>'
    for wave in history.fleet.waves:
        outcomes = [history.courses[name].outcome for name in wave.devices]
        ended = [one for one in outcomes if one is not None]
        unproven = ended.count(Outcome.UNPROVEN)
        unreachable = ended.count(Outcome.UNREACHABLE)
        good = sum(one.good for one in ended)
        counts = (len(outcomes), good - unproven, unproven, len(ended) - good - unreachable, unreachable)
        numbers = "".join(f'<td class="n">{number}</td>' for number in (*counts, len(outcomes) - len(ended)))
        yield f"<tr><td>{_text(wave.name)}</td>{numbers}</tr>"
    yield "</table></div></section>"


def _packages(status: FleetStatus) -> Iterator[str]:
    columns = ("hardware", "package", "image", "version", "image hash", "package hash")
    head = "".join(f"<th>{column}</th>" for column in columns)
    yield f'<section><h2>Packages</h2><div class="scroll"><table class="few"><tr>{head}</tr>'
    for hardware, package in status.packages.items():
        file = _text(status.history.fleet.packages[hardware].name)
        for image in package.images:
            version = _text(str(image.image.header.version))
            part = _text(image.part if image.slot is None else f"{image.part}, slot {image.slot}")
            hashes = "".join(_hash(one) for one in ("" if image.hash is None else image.hash.hex(), package.digest))
            yield f"<tr><td>{_text(hardware)}</td><td>{file}</td><td>{part}</td><td>{version}</td>{hashes}</tr>"
    yield "</table></div></section>"


def _hash(digits: str) -> str:
    return f'<td title="{digits}"><code>{digits[:_HASH_DIGITS]}</code></td>'


_PROVEN = {None: "", True: "yes", False: "no"}
_COLUMNS = (
    *("device", "wave", "outcome", "application", "network core", "proven", "time", "sent", "rate", "tries"),
    "timeline",
)


def _devices(history: History) -> Iterator[str]:
    head = "".join(f'<th data-sort="{column.split()[0]}">{column}</th>' for column in _COLUMNS[:-1])
    states = "".join(f'<option value="{state}">{state}</option>' for state in COLOURS if state in history.counts())
    yield f'<h2>Devices</h2><div class="legend">{_steps_legend()}</div>'
    yield '<form id="filter" hidden><label>Filter <input name="q" type="search"></label>'
    yield f'<label>Outcome <select name="state"><option value="">all</option>{states}</select></label>'
    yield "<output name=count></output></form>"
    yield f'<div class="scroll"><table id="devices"><thead><tr>{head}'
    yield f'<th class="t">timeline{_axis(history)}</th></tr></thead><tbody>'
    for course in sorted(history.courses.values(), key=lambda course: _RANK[course.state]):
        yield _row(course, history)
    yield "</tbody></table></div>"


def _steps_legend() -> str:
    names = {"upload": "upload", "test": "mark", "reset": "reset and boot", "check": "check and confirm"}
    return "".join(
        f'<span><span class="dot" style="background:{STEP_COLOURS[step]}"></span>{words}</span>'
        for step, words in names.items()
    )


_TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 604800)
_MOST_TICKS = 4
_LAST_MARK = 0.9  # a later mark has its text on the left, because there is no room on the right


def _ticks(history: History) -> list[tuple[float, str]]:
    """Return the places of the marks on the time axis, 0 to 1, and their text: the time since the first event."""
    if history.began is None or history.ended is None or history.ended <= history.began:
        return []
    whole = history.ended - history.began
    step = next((one for one in _TICKS_S if whole / one <= _MOST_TICKS), whole / _MOST_TICKS)
    return [(number * step / whole, _short(number * step)) for number in range(int(whole / step) + 1)]


def _tick_width(history: History) -> str:
    ticks = _ticks(history)
    return f"{100 * ticks[1][0]:.3f}%" if len(ticks) > 1 else "100%"


def _axis(history: History) -> str:
    marks = "".join(
        f'<span{" class=last" if at > _LAST_MARK else ""} style="left:{100 * at:.3f}%">{text}</span>'
        for at, text in _ticks(history)
    )
    return f'<div class="axis">{marks}</div>'


def _row(course: Course, history: History) -> str:
    last = course.last
    why = "" if last is None else last.message or course.doubt
    what = f"<br><small>{_text(why)}</small>" if why else ""
    versions = _text(course.was or "?")
    versions += f" → {_text(course.runs)}" if course.runs and course.runs != course.was else ""
    seconds = 0.0 if last is None else last.seconds
    size = 0 if last is None else last.size_bytes
    rate = course.rate or 0.0
    cells = (
        f'<td data-v="{_text(course.device.name)}">{_text(course.device.name)}'
        f"<br><small>{_text(course.device.address)}</small></td><td>{_text(course.wave)}</td>"
        f'<td class="o" data-v="{_RANK[course.state]}">{_dot(course.state)}{course.state}{what}</td>'
        f'<td class="v">{versions}</td><td class="v">{_text(course.network_core or "")}</td>'
        f"<td>{_PROVEN[course.proven]}</td>"
    )
    numbers = (
        _number(seconds, _duration(seconds)),
        _number(size, _size(size)),
        _number(rate, f"{rate / 1024:.1f} KiB/s"),
        _number(course.attempts, str(course.attempts)),
    )
    timeline = f'<td class="t">{_timeline(course, history)}</td>'
    return f'<tr data-state="{course.state}">{cells}{"".join(numbers)}{timeline}</tr>'


def _number(value: float, text: str) -> str:
    return f'<td class="n" data-v="{value:g}">{text}</td>' if value else '<td class="n" data-v=""></td>'


def _timeline(course: Course, history: History) -> str:
    """Return the bar of one device on the time axis of the fleet, which shows waves and late devices."""
    if history.began is None or history.ended is None or not course.spans:
        return ""
    whole = max(history.ended - history.began, 0.001)
    bars = []
    for span in course.spans:
        end = history.ended if span.end is None else span.end
        left = 1000 * (span.begin - history.began) / whole
        width = max(1000 * (end - span.begin) / whole, 1.0)
        colour = STEP_COLOURS.get(span.step.partition(" ")[0], STEP_COLOURS["check"])
        title = f"{_text(span.step)}: {_duration(end - span.begin)}, {_clock(span.begin)} UTC"
        bars.append(
            f'<rect x="{left:.2f}" width="{width:.2f}" height="10" fill="{colour}"><title>{title}</title></rect>'
        )
    return f'<svg viewBox="0 0 1000 10" preserveAspectRatio="none">{"".join(bars)}</svg>'


def _dot(state: str) -> str:
    return f'<span class="dot" style="background:{COLOURS[state]}"></span>'


def _text(text: str) -> str:
    return escape(line(text))


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _short(seconds: float) -> str:
    """Return a round time for the axis."""
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:g} {unit}"
    return f"{seconds:g} s"


def _size(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size else ""
