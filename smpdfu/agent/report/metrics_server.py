"""The HTTP server of the metrics: bounded, because whoever reaches the port may connect as often as he wants.

prometheus-client's own server keeps every connection, each with a thread, until the client ends it. Enough of them use
up the files that a process may open, and the agent reaches neither its server nor its devices then.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

MAX_CLIENTS = 16
"""Connections at a time. One more is closed at once."""
SILENT_S = 10.0
"""How long a client may be silent."""


class _Handler(WSGIRequestHandler):
    timeout = SILENT_S  # of each read and write (socketserver.StreamRequestHandler)

    def log_message(self, *_: object) -> None:
        """Say nothing: the standard error is the agent's log."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # the end of the agent waits for no client

    def __init__(self, host: str, port: int, application: WSGIApplication) -> None:
        self._free = threading.Semaphore(MAX_CLIENTS)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__((str(address[0]), port), _Handler)
        self.set_app(application)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no news of the agent."""


@contextmanager
def serving(host: str, port: int, application: WSGIApplication) -> Iterator[None]:
    """Answer at an address while inside. Raises OSError if that cannot be done."""
    server = _Server(host, port, application)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
