"""Update both cores of one device. If anything interrupts it, run it again.

python update.py ADDRESS dfu_application.zip
"""

import asyncio
import sys

from smpdfu import Event, SmpdfuError, StepBegun, install


def show(event: Event) -> None:
    """Print each step as it begins."""
    if isinstance(event, StepBegun):
        print(f"{event.number}/{event.total} {event.step.words}")


address, package = sys.argv[1:]
try:
    done = asyncio.run(install(address, package, watch=show))
except SmpdfuError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print("changed" if done.changed else "up to date", f"proven: {done.proven}")
