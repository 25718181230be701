"""Network namespaces for gateways: a gateway and its devices in one reach nothing but each other and the server's port.

A namespace has no interface but its own loopback; two relays carry the server's port into it through a socket in a
file. Where namespaces cannot be made (no root, no ``ip``), gateways run side by side on this computer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit


@contextmanager
def namespace(name: str, url: str, folder: Path) -> Iterator[Sequence[str]]:
    """What goes before a command that is to run in a namespace of its own; nothing where none can be made.

    ``url`` is the server's, at a port of 127.0.0.1, and the same in the namespace.
    """
    if not _possible():
        yield ()
        return
    own, port, path = f"smpdfu-{os.getpid()}-{name}", urlsplit(url).port, folder / f"{name}.socket"
    prefix = ("ip", "netns", "exec", own)
    with ExitStack() as stack:
        _ip("netns", "add", own)
        stack.callback(_ip, "netns", "delete", own)
        _ip("-n", own, "link", "set", "lo", "up")
        stack.enter_context(_relay((), f"unix:{path}", f"tcp:{port}"))
        stack.enter_context(_relay(prefix, f"tcp:{port}", f"unix:{path}"))
        yield prefix


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _possible() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"smpdfu-{os.getpid()}-try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return False
    _ip("netns", "delete", name)
    return True


@contextmanager
def _relay(prefix: Sequence[str], listen: str, to: str) -> Iterator[None]:
    order = [*prefix, sys.executable, "-m", "tests.agent.scenarios.relay", listen, to]
    process = subprocess.Popen(order, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("a relay does not start")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
