"""``datetime``: the device's clock, which has no zone."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts
from smpdfu.smp.groups.os import DateTimeRead, DateTimeWrite

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.client import Client


async def show_or_set(conn: Connection, out: Output, text: str | None, *, now: bool, local: bool) -> None:
    """Show the device's clock, after it was set to ``text`` or to this computer's time."""
    if now and text not in (None, "now"):
        raise typer.BadParameter("give a time or --now, not both")
    typed = None if now or text in (None, "now") else typed_time(text, local=local)
    wanted = None
    async with conn.client() as client:
        if now or text is not None:
            await client.params()  # finds out whether somebody is there: what follows is of this moment
            wanted = typed or _whole_seconds(_wall(local=local))
            await client.request(DateTimeWrite(wanted.isoformat()))
        found = await _clock(client, local=local)
    if wanted is not None and (found.moment is None or abs(found.moment - wanted) > dt.timedelta(seconds=5)):
        out.warn(f"smpdfu set {wanted.isoformat()}, but the device shows {found.text[:100]}")
    data = {
        "datetime": found.text,
        "zone": "local" if local else "utc",
        "ahead_s": found.ahead_s,
        "set": None if wanted is None else wanted.isoformat(),
    }
    out.emit(data, lambda: _clock_text(data))


def typed_time(text: str | None, *, local: bool) -> dt.datetime:
    """The time that was typed, without zone: if it had one, turned into UTC (``local``: into this computer's).

    Raises typer.BadParameter if it is no time.
    """
    try:
        moment = dt.datetime.fromisoformat(text or "")
        return _whole_seconds(_without_zone(moment, local=local))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no time: write 2026-01-31T12:30:00, or now") from None


def _without_zone(moment: dt.datetime, *, local: bool) -> dt.datetime:
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(None if local else dt.UTC).replace(tzinfo=None)


def _wall(*, local: bool) -> dt.datetime:
    """The computer's clock, without zone."""
    return dt.datetime.now(None if local else dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the device showed, and how far it is ahead of the computer's clock; None: it showed no time."""

    text: str
    moment: dt.datetime | None
    ahead_s: float | None


async def _clock(client: Client, *, local: bool) -> _Reading:
    before = _wall(local=local)
    text = (await client.request(DateTimeRead())).datetime
    here = before + (_wall(local=local) - before) / 2
    moment = device_time(text, local=local)
    return _Reading(text, moment, None if moment is None else round((moment - here).total_seconds(), 1))


def _whole_seconds(moment: dt.datetime) -> dt.datetime:
    """The nearest whole second: Zephyr takes what stands behind the point for a number of milliseconds."""
    return (moment + dt.timedelta(milliseconds=500)).replace(microsecond=0)


def device_time(text: str, *, local: bool = False) -> dt.datetime | None:
    """The time that a device told, without zone; None if it is none. With a zone it is turned as ``typed_time`` does.

    Zephyr writes the milliseconds as a plain number, so that ".7" is 7 ms; more than three digits are a fraction.
    """
    found = re.fullmatch(r"(.{19})\.(\d{1,6})(Z|[+-]\d\d:?\d\d)?", text, re.ASCII)
    if found and len(found[2]) <= 3:
        text = f"{found[1]}.{int(found[2]):03d}000{found[3] or ''}"
    try:
        return _without_zone(dt.datetime.fromisoformat(text), local=local)
    except (ValueError, OverflowError):
        return None


def _clock_text(data: dict[str, Any]) -> RenderableType:
    of = "this computer's local time" if data["zone"] == "local" else "this computer's clock in UTC"
    ahead = data["ahead_s"]
    pairs: list[tuple[str, object]] = [("device", data["datetime"])]
    if ahead is not None:
        side = "ahead of" if ahead > 0 else "behind"
        same = abs(ahead) < 1
        pairs.append(("compared", f"the same as {of}" if same else f"{_span(abs(ahead))} {side} {of}"))
    if data["set"] is not None:
        pairs.append(("set to", data["set"]))
    return facts(pairs)


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else str(dt.timedelta(seconds=round(seconds)))
