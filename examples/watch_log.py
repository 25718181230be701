"""Follow the log of a fleet while another process runs it.

python watch_log.py FOLDER_OF_THE_LOG
"""

import sys
import time
from pathlib import Path

from smpdfu import read_log

folder, seen, running = Path(sys.argv[1]), 0, True
while running:
    events = list(read_log(folder))
    for event in events[seen:]:
        print(event["event"], event.get("device", ""), event.get("step", event.get("outcome", "")))
        running = event["event"] != "leave"
    seen = len(events)
    time.sleep(0.2)
