"""``smpdfu virtual run`` for a device whose application tells which firmware its network core runs.

As applications do that have asked it over IPC: in a setting, in a file and by a command of the shell. Run as a program;
the words are those of ``smpdfu``.
"""

from __future__ import annotations

from typing import Any, cast

from smpdfu.__main__ import main as run
from smpdfu.virtual.boot.bootloader import BootResult
from smpdfu.virtual.ram import Ram
from smpdfu.virtual.store.devices import StoredDevice

SETTING, FILE, COMMAND = "app/net_version", "/lfs1/net_version", ("net", "version")
_MARK_AT = 64
"""Where the firmware of these tests has its mark: behind the vector table (``conftest.firmware``)."""


class TellingDevice(StoredDevice):
    """It tells when it starts, and when it is taken up again."""

    def reset(self) -> BootResult | None:
        result = super().reset()
        self._tell()
        return result

    def resume(self, ram: Ram) -> None:
        super().resume(ram)
        self._tell()

    def _tell(self) -> None:
        if self.running is None:
            return
        version = f"{chr(self.net_core.app.read(_MARK_AT, 1)[0])}.0.0"
        self.application.settings.values[SETTING] = version.encode() + b"\0"
        files = self.application.fs.files
        files.clear(FILE)
        files.append(FILE, f"network core v{version}\n".encode())
        commands = cast("dict[tuple[str, ...], Any]", self.application.shell.commands)
        commands[COMMAND] = ("", lambda: f"version: \x1b[32m{version}\x1b[m\r\n")


def main() -> None:
    """Serve such a device."""
    import smpdfu.virtual.store.devices

    smpdfu.virtual.store.devices.StoredDevice = TellingDevice  # type: ignore[misc]
    run()


if __name__ == "__main__":
    main()
