"""Follow the log of a fleet while another process runs it.

python watch_log.py FLEET.toml
"""

import sys
import time

from smpdfu import open_fleet, read_log

folder, seen, running = open_fleet(sys.argv[1]).folder, 0, True
while running:
    events = list(read_log(folder))
    for event in events[seen:]:
        print(event.kind, event.device, event.step, event.outcome or "")
        running = event.kind != "leave"
    seen = len(events)
    time.sleep(0.2)
