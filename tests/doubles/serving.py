"""Run a test double of a service over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore closed connections: clients in tests of timeouts and kills close them."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], double: Any) -> Iterator[str]:
    """Serve on a free port of loopback and yield the root URL; set ``double`` on the handler."""
    handler = type("Handler", (handler,), {"double": double})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
