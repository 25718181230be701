"""Update the devices of a fleet, and print what becomes of each. If anything interrupts it, run it again.

python fleet.py FLEET.toml
"""

import asyncio
import sys

from smpdfu import FleetWatch, LogEvent, open_fleet


class Watch(FleetWatch):
    """Prints how it ended for each device."""

    def event(self, event: LogEvent) -> None:
        """Take an event of the log."""
        if event.outcome is not None:
            print(f"{event.device}: {event.outcome}", event.message)


outcome = asyncio.run(open_fleet(sys.argv[1]).run(watch=Watch()))
if error := outcome.error():
    sys.exit(str(error))
print(outcome.ending)
