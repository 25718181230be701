"""The log of a fleet that never was, and the report of it: for the tests, and for the picture in the documents.

``python -m tests.fleet_example docs/images/fleet-report.png`` makes the picture anew, with Debian's chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from smpdfu.cli.fleet.html_report import page
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Wave
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.outcome import Ending
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.dfu.fleet.session import FleetStatus
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import generate
from tests.dfu.conftest import Maker

BEGAN = 1_795_600_800.0  # 2026-11-25 10:00:00 UTC
FAILURES: dict[int, tuple[Outcome, str, str]] = {
    3: (Outcome.UNREACHABLE, "no answer", "the device does not answer a first request"),
    7: (Outcome.REVERTED, "the device went back to its previous firmware", "the device runs its previous firmware"),
    12: (Outcome.REFUSED, "preflight: downgrade", "the application is older than the one that runs"),
    17: (Outcome.UNPROVEN, "", ""),
    18: (Outcome.UNREACHABLE, "no answer", "the device does not answer a first request"),
    21: (Outcome.FAILED, "the device refused img upload: FLASH_WRITE_FAILED", "the device refused img upload"),
}
STEPS = (("upload app", 40), ("test app", 1), ("reset", 14), ("check app", 5), ("upload net", 12), ("reset", 6))


def example(count: int = 24, names: Callable[[int], str] = "roof-{:02}".format) -> FleetStatus:
    """A fleet of ``count`` devices in two waves, some of which have failed (``FAILURES``, again every 24)."""
    maker = Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))
    package = maker.package(maker.image(version="2.1.0"), maker.image(Role.NET, version="1.4.0"))
    devices = {names(at): FleetDevice(names(at), f"udp:10.0.{at // 250}.{at % 250 + 1}") for at in range(count)}
    listed = tuple(devices)
    waves = (Wave("canary", listed[:4], 60.0), Wave("rest", listed[4:]))
    fleet = Fleet("roofs", Path("roofs.toml"), devices, waves, {"default": Path("dfu_application.zip")})
    events = [event for one in _entries(fleet, package) if (event := LogEvent.from_entry(one)) is not None]
    history = History.of(events, fleet, {"default": package.digest})
    return FleetStatus(history, {"default": package}, Ending.UNFINISHED, None, paused=False)


def _entries(fleet: Fleet, package: Package) -> Iterator[dict[str, Any]]:
    yield {"event": "run", "time": BEGAN, "fleet": fleet.name, "operator": "night shift", "tool": "0.1.0"}
    for at, device in enumerate(fleet.devices.values()):
        about = {"device": device.name, "identity": device.identity, "package": package.digest}
        began = now = BEGAN + (at * 9 if at < 4 else 180 + (at - 4) * 11)
        outcome, cause, message = FAILURES.get(at % 24, (Outcome.DONE, "", ""))
        yield {"event": "begin", "time": began, **about}
        steps = () if outcome in (Outcome.UNREACHABLE, Outcome.REFUSED) else STEPS
        for step, seconds in steps[:1] if outcome is Outcome.FAILED else steps:
            yield {"event": "step", "time": now, "device": device.name, "step": step}
            now += seconds + at % 5
        end: dict[str, Any] = {"outcome": outcome, "seconds": now - began, "bytes": 180_000 if steps else 0}
        end |= {"from": "2.0.3", "to": "2.1.0" if outcome.good else "2.0.3", "wanted": {"app": "2.1.0", "net": "1.4.0"}}
        if outcome.good:
            why = "nothing was heard on the console" if outcome is Outcome.UNPROVEN else "the console showed its boot"
            end |= {"proof": {"value": None if outcome is Outcome.UNPROVEN else True, "reason": why}}
        failure = {"cause": cause, "message": message} if cause else {}
        yield {"event": "end", "time": now, **about, **end, **failure}


def chromium() -> str | None:
    """Where Debian's chromium is; None if it is not installed."""
    return shutil.which("chromium")


def browse(browser: str, url: str, *options: str) -> str:
    """Open a page without a window; what the options make the browser print."""
    with tempfile.TemporaryDirectory() as profile:
        words: Sequence[str] = (
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=10000", *options, url),
        )
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the picture into the file that the command line names."""
    browser = chromium()
    if browser is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        report.write_text(page(example()), "utf-8")
        browse(browser, report.as_uri(), f"--screenshot={Path(sys.argv[1]).resolve()}", "--window-size=1300,1200")


if __name__ == "__main__":
    main()
