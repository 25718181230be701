"""A page about a fleet in one HTML file: no script, no picture, nothing to be fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.history import Course, History

# Ways to end, with a colour that is told apart also by those who do not see red and green.
_COLOURS = {
    "done": "#1b7f4d",
    "current": "#69a98a",
    "unproven": "#b59a00",
    "reverted": "#c1440e",
    "refused": "#8a4fa3",
    "incomplete": "#d98b00",
    "unreachable": "#a03030",
    "failed": "#7a1f1f",
    "running": "#2f6fb0",
    "waiting": "#9aa3ab",
}
_STEP_COLOURS = {"upload": "#2f6fb0", "test": "#b59a00", "keep": "#b59a00", "reset": "#8a4fa3", "check": "#1b7f4d"}

# Should anything from outside ever get past the escaping, a browser neither runs nor fetches it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.lead { margin: .2rem 0 1rem; opacity: .8; }
.bar { display: flex; height: 1.4rem; border-radius: .3rem; overflow: hidden; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0; }
.dot { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
table.few { width: auto; }
th { font-weight: 600; } td.n { text-align: right; white-space: nowrap; } td.v { white-space: nowrap; }
td.t { min-width: 14rem; } svg { display: block; width: 100%; height: 1rem; background: var(--soft); }
small { opacity: .8; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
"""


def page(history: History) -> str:
    """The whole page. Everything that came from outside is escaped."""
    return "\n".join(_parts(history)) + "\n"


def _parts(history: History) -> Iterator[str]:
    name = _text(history.fleet.name)
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield f"<title>Fleet {name}</title>"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body>"
    yield f"<h1>Fleet {name}</h1>"
    yield f'<p class="lead">{_when(history)}</p>'
    if history.stopped:
        yield f"<p><strong>Stopped:</strong> {_text(history.stopped)}</p>"
    yield from _outcomes(history)
    yield from _causes(history)
    yield from _waves(history)
    yield from _devices(history)
    yield "</body></html>"


def _when(history: History) -> str:
    total = len(history.courses)
    if history.began is None or history.ended is None:
        return f"{total} devices; nothing was done yet"
    spent = history.ended - history.began
    return f"{total} devices; {_clock(history.began)} to {_clock(history.ended)} UTC, {_duration(spent)}"


def _outcomes(history: History) -> Iterator[str]:
    counts = history.counts()
    total = sum(counts.values()) or 1
    ordered = [state for state in _COLOURS if state in counts]
    yield '<div class="bar" role="img" aria-label="Outcomes">'
    for state in ordered:
        yield f'<div style="width:{100 * counts[state] / total:.3f}%;background:{_COLOURS[state]}"></div>'
    yield '</div><div class="legend">'
    for state in ordered:
        yield f"<span>{_dot(state)}{state} {counts[state]} ({100 * counts[state] / total:.1f} %)</span>"
    yield "</div>"


def _causes(history: History) -> Iterator[str]:
    yield from _grouped("Failures by cause", "cause", history.causes())
    yield from _grouped("Unproven by reason", "reason", history.doubts())


def _grouped(title: str, column: str, found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if not found:
        return
    yield f'<h2>{title}</h2><div class="scroll"><table class="few">'
    yield f"<tr><th>{column}</th><th>devices</th><th>which</th></tr>"
    for cause, names in found.items():
        shown = ", ".join(_text(name) for name in names)
        yield f'<tr><td>{_text(cause)}</td><td class="n">{len(names)}</td><td><small>{shown}</small></td></tr>'
    yield "</table></div>"


def _waves(history: History) -> Iterator[str]:
    yield '<h2>Waves</h2><div class="scroll"><table class="few">'
    yield "<tr><th>wave</th><th>devices</th><th>good</th><th>unproven</th><th>failed</th></tr>"
    for wave in history.fleet.waves:
        courses = [history.courses[name] for name in wave.devices]
        unproven = sum(one.outcome == "unproven" for one in courses)
        good = sum(one.outcome is not None and one.outcome.good for one in courses) - unproven
        bad = sum(one.outcome is not None and not one.outcome.good for one in courses)
        numbers = "".join(f'<td class="n">{number}</td>' for number in (len(courses), good, unproven, bad))
        yield f"<tr><td>{_text(wave.name)}</td>{numbers}</tr>"
    yield "</table></div>"


def _devices(history: History) -> Iterator[str]:
    columns = ("device", "outcome", "version", "time", "sent", "rate", "tries", "timeline")
    head = "".join(f"<th>{column}</th>" for column in columns)
    yield f'<h2>Devices</h2><div class="legend">{_steps_legend()}</div>'
    yield f'<div class="scroll"><table><tr>{head}</tr>'
    for course in history.courses.values():
        yield _row(course, history)
    yield "</table></div>"


def _steps_legend() -> str:
    names = {"upload": "upload", "test": "mark", "reset": "reset and boot", "check": "check and confirm"}
    return "".join(
        f'<span><span class="dot" style="background:{_STEP_COLOURS[step]}"></span>{words}</span>'
        for step, words in names.items()
    )


def _row(course: Course, history: History) -> str:
    last = course.last
    why = course.doubt if last is None else last.message or course.doubt
    what = f"<br><small>{_text(why)}</small>" if why else ""
    versions = _text(course.was or "?")
    versions += f" → {_text(course.runs)}" if course.runs and course.runs != course.was else ""
    rate = "" if course.rate is None else f"{course.rate / 1024:.1f} KiB/s"
    spent = _duration(last.seconds) if last is not None and last.seconds else ""
    numbers = (spent, "" if last is None else _size(last.size_bytes), rate, course.attempts or "")
    cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
    return (
        f"<tr><td>{_text(course.device.name)}<br><small>{_text(course.device.address)}</small></td>"
        f"<td>{_dot(course.state)}{course.state}{what}</td>"
        f'<td class="v">{versions}</td>{cells}'
        f'<td class="t">{_timeline(course, history)}</td></tr>'
    )


def _timeline(course: Course, history: History) -> str:
    """One bar a device, all on the fleet's time, so that waves and stragglers are seen."""
    if history.began is None or history.ended is None or not course.spans:
        return ""
    whole = max(history.ended - history.began, 0.001)
    bars = []
    for span in course.spans:
        end = history.ended if span.end is None else span.end
        left, width = 1000 * (span.begin - history.began) / whole, max(1000 * (end - span.begin) / whole, 1.0)
        colour = _STEP_COLOURS.get(span.step.split()[0], _STEP_COLOURS["check"])
        title = f"{_text(span.step)}: {_duration(end - span.begin)}"
        bars.append(
            f'<rect x="{left:.2f}" width="{width:.2f}" height="10" fill="{colour}"><title>{title}</title></rect>'
        )
    return f'<svg viewBox="0 0 1000 10" preserveAspectRatio="none">{"".join(bars)}</svg>'


def _dot(state: str) -> str:
    return f'<span class="dot" style="background:{_COLOURS.get(state, "#888")}"></span>'


def _text(text: str) -> str:
    return escape(line(text))


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size else ""
