"""goosebit, the second real server: from PyPI into an environment of its own, started on a free port.

It has no cancellation, no confirmation, no maintenance windows and no groups; an action's number is that of its
software, and feedback becomes lines of the device's log. Artifacts get in through ``plugin.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.agent.servers.hawkbit import ROOT, NotThereError, free_port
from tests.agent.servers.management import ManagementError
from tests.agent.servers.one_at_a_time import one_at_a_time
from tests.agent.servers.server_process import STARTS_S, server_process
from tests.agent.servers.values import Software

VERSION = "0.2.12"
FOLDER = ROOT / "build" / "goosebit"
PIP_S = 600.0
STATES = {
    "Unknown": "unknown",
    "Registered": "registered",
    "Running": "pending",
    "Error": "error",
    "Finished": "in_sync",
}
"""goosebit's words for the state of a device, and hawkBit's."""


class GoosebitServer:
    """An operator of goosebit: what it has of ``UpdateServer``."""

    name = "goosebit"
    tenant = "DEFAULT"

    def __init__(self, url: str) -> None:
        self.url = url
        self._bearer = ""

    def call(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> Any:
        """One request; the JSON of the answer. Raises ManagementError."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        headers = {"Content-Type": content_type} | ({"Authorization": self._bearer} if self._bearer else {})
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ManagementError(answer.status, text.decode(errors="replace")[:500])
        return json.loads(text) if text else None

    def set_up(self) -> None:
        """Create the first user, and be it."""
        form = urlencode({"username": "admin@example.org", "password": "admin"}).encode()
        token = self.call("POST", "/setup", form, "application/x-www-form-urlencoded")["access_token"]
        self._bearer = f"Bearer {token}"

    def add_target(self, controller_id: str) -> str:
        """Create a device; its token."""
        token = os.urandom(12).hex()
        self._order("PUT", controller_id, auth_token=token)
        return token

    def _order(self, method: str, controller_id: str, **values: object) -> None:
        self.call(method, "/api/v1/devices", json.dumps({"devices": [controller_id], **values}).encode())

    def upload(self, name: str, version: str, files: dict[str, bytes], *, sha1: str = "") -> Software:
        """Software of one file; ``sha1`` is what goosebit says of the file then, the truth by default."""
        ((filename, data),) = files.items()
        query = urlencode({"filename": filename, "version": version, "sha1": sha1})
        found = self.call("POST", f"/plugins/packages/software?{query}", data, "application/octet-stream")
        return Software(0, int(found["id"]), name, version)

    def assign(self, software: Software, controller_id: str) -> str:
        """Assign to a device: the number of the action."""
        self._order("PATCH", controller_id, software=str(software.ds), force_update=True)
        return str(software.ds)

    def update_status(self, controller_id: str) -> str:
        """The device's state in hawkBit's words."""
        return STATES[self.device(controller_id)["last_state"]]

    def device(self, controller_id: str) -> dict[str, Any]:
        """What goosebit says of a device: of the list, because 0.2.12 answers 500 for one with software assigned."""
        found = self.call("GET", "/api/v1/devices")["devices"]
        return dict(next(one for one in found if one["id"] == controller_id))

    def log(self, controller_id: str) -> str:
        """What the device said in feedback."""
        return str(self.call("GET", f"/api/v1/devices/{quote(controller_id, safe='')}/log")["log"] or "")


@cache
def environment() -> Path:
    """The Python of an environment with goosebit. Raises NotThereError."""
    python = FOLDER / "venv" / "bin" / "python"
    done = FOLDER / f"installed-{VERSION}-{sys.version_info[0]}.{sys.version_info[1]}"
    with one_at_a_time(FOLDER):
        if not done.is_file():
            _install(python)
            done.touch()
    return python


def _install(python: Path) -> None:
    order = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"goosebit=={VERSION}"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER / "venv")], check=True, capture_output=True)
        subprocess.run(order, check=True, capture_output=True, timeout=PIP_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise NotThereError(f"goosebit cannot be installed: {said.decode(errors='replace')[-300:]}") from None


@contextmanager
def goosebit(folder: Path) -> Iterator[GoosebitServer]:
    """A server with an empty database in ``folder``. Raises NotThereError when it cannot be had."""
    python = environment()
    entry = folder / "packages_plugin-0.dist-info"
    entry.mkdir(parents=True)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: packages-plugin\nVersion: 0\n")
    (entry / "entry_points.txt").write_text("[goosebit.plugins]\npackages = packages_plugin\n")
    (folder / "packages_plugin.py").write_text((Path(__file__).parent / "plugin.py").read_text("utf-8"))
    (folder / "goosebit.yaml").write_text(json.dumps(_settings(folder)))
    port, log = free_port(), folder / "goosebit.log"
    environ = {**os.environ, "PYTHONPATH": str(folder), "GOOSEBIT_SETTINGS": str(folder / "goosebit.yaml")}
    order = [str(python), str(folder / "packages_plugin.py"), "127.0.0.1", str(port)]
    with server_process(order, folder, log, environ) as process:
        server = GoosebitServer(f"http://127.0.0.1:{port}")
        _wait(process, server, log)
        yield server


def _settings(folder: Path) -> dict[str, object]:
    return {
        "artifacts_dir": str(folder / "artifacts"),
        "db_uri": f"sqlite://{folder / 'db.sqlite3'}",
        "poll_time": "00:00:01",
        "plugins": ["packages"],
        "device_auth": {"enable": True, "mode": "strict"},
    }


def _wait(process: subprocess.Popen[bytes], server: GoosebitServer, log: Path) -> None:
    end = time.monotonic() + STARTS_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError, ManagementError):
            server.set_up()
            return
        time.sleep(0.25)
    raise RuntimeError(f"goosebit does not start (exit code {process.poll()}):\n{log.read_text()[-2000:]}")
