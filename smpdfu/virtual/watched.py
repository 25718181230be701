"""What can be watched of a device: the lines of its console, and its power."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

LOG_LINES = 1000

Watcher = Callable[[str], None]


class Watched:
    """``log`` has the console's last lines."""

    def __init__(self) -> None:
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._watchers: list[Watcher] = []
        self._power_watchers: list[Callable[[], None]] = []

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` with every console line from now on."""
        self._watchers.append(watcher)

    def watch_power(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call ``watcher`` after every boot, and when the power goes; the function that is returned ends that."""
        self._power_watchers.append(watcher)
        return lambda: self._power_watchers.remove(watcher)

    def _say(self, line: str) -> None:
        self.log.append(line)
        for watcher in self._watchers:
            watcher(line)

    def _power_changed(self) -> None:
        for watcher in self._power_watchers:
            watcher()
