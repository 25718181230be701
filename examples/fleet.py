"""Update the devices of a fleet, and print what becomes of each.

python fleet.py FLEET.toml FOLDER_FOR_THE_LOG
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smpdfu import Fleet, FleetLog, FleetRun, Package, Ports, Schedule, client_for, place_of


def show(event: Mapping[str, Any]) -> None:
    """Print how it ended for a device."""
    if event["event"] == "end":
        print(f"{event['device']}: {event['outcome']}", event.get("message", ""))


fleet = Fleet.load(Path(sys.argv[1]), place_of)
packages = {hardware: Package.load(file) for hardware, file in fleet.packages.items()}
schedule = Schedule(fleet.waves, fleet.limits, {})
with FleetLog(Path(sys.argv[2]), watch=show) as log:
    run = FleetRun(fleet, schedule, log, Ports(lambda device: client_for(device.address), packages))
    print(asyncio.run(run.run()))
