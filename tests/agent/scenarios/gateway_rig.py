"""Gateways of a test: their files, and ``smpdfu agent once`` and ``run`` in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent.devices import LOADER

END_S = 120.0


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def round(self) -> dict[str, list[str]]:
        """What became of the devices in this round: names by outcome."""
        return dict(json.loads(self.out))


@dataclass(frozen=True)
class Gateway:
    """A gateway with its file in ``folder``. ``prefix`` goes before its commands (a network namespace)."""

    folder: Path
    name: str
    prefix: Sequence[str] = ()

    @classmethod
    def new(
        cls,
        folder: Path,
        name: str,
        url: str,
        devices: Mapping[str, str],
        *,
        token: str = "",
        target_tokens: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **more: str,
    ) -> Gateway:
        """Write the file of a gateway that owns ``devices`` (names to addresses). ``more``: lines of a table each."""
        folder.mkdir(parents=True, exist_ok=True)
        if target_tokens is None:
            secret, how = folder / "gateway.token", 'gateway_token_file = "gateway.token"'
            secret.write_text(token)
        else:
            secret, how = folder / "tokens.csv", 'target_tokens = "tokens.csv"'
            secret.write_text("name,token\n" + "".join(f"{one},{own}\n" for one, own in target_tokens.items()))
        secret.chmod(0o600)
        rows = "".join(f"{one},{address}\n" for one, address in devices.items())
        (folder / "devices.csv").write_text("name,address\n" + rows)
        tables = {
            "agent": f'gateway = "{name}"\ndevices = "devices.csv"\nstate = "state"\n',
            "server": f'url = "{url}"\n',
            "authentication": how + "\n",
            "limits": "at_once = 8\nper_serial_hub = 8\n",
            "update": f'ncs = "{LOADER}"\n',
            "log": 'form = "json"\n',
        }
        for table, lines in more.items():
            tables[table] = tables.get(table, "") + lines + "\n"
        text = "\n".join(f"[{table}]\n{lines}" for table, lines in tables.items())
        (folder / "agent.toml").write_text(text)
        return cls(folder, name, prefix)

    def _order(self, *words: str) -> list[str]:
        command = [sys.executable, "-m", "smpdfu", "agent", *words, str(self.folder / "agent.toml")]
        return [*self.prefix, *command]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SMPDFU_STATE_HOME": str(self.folder / "state-home")}

    def once(self, *codes: int) -> Ended:
        """``agent once``; it must end with one of ``codes`` (none: 0)."""
        order = [*self._order("once"), "--json"]
        done = subprocess.run(order, capture_output=True, text=True, env=self._environment(), timeout=END_S)
        with (self.folder / "log").open("a") as log:
            log.write(done.stderr)
        assert done.returncode in (codes or (0,)), (done.returncode, done.stdout, done.stderr[-3000:])
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """``agent run``, ended with SIGTERM, which must leave everything in order."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(self._order("run"), env=self._environment(), stderr=log, stdout=log)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_S) == 0, self.log()[-3000:]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def log(self) -> str:
        """What the agent logged."""
        return (self.folder / "log").read_text()

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
