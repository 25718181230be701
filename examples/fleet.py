"""Update the devices of a fleet, and print what becomes of each.

python fleet.py FLEET.toml
"""

import asyncio
import sys

from smpdfu import FleetWatch, LogEvent, open_fleet


class Watch(FleetWatch):
    """What this program wants to see of the run."""

    def event(self, event: LogEvent) -> None:
        """Print how it ended for a device."""
        if event.kind == "end":
            print(f"{event.device}: {event.outcome}", event.message)


print(asyncio.run(open_fleet(sys.argv[1]).run(watch=Watch())).counts)
