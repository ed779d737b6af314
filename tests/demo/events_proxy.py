"""A reverse proxy as ``docs/how-tos/show_the_status.rst`` has it: streams go to the gateway."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

STREAM = "text/event-stream"
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


class Proxy(ThreadingHTTPServer):
    """Serve one origin; ``streams`` and ``polls`` count the requests of statuses."""

    daemon_threads = True

    def __init__(self, site: str, gateway_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.site_port, self.gateway_port = int(urlsplit(site).port or 80), gateway_port
        self.streams = self.polls = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has left is no error."""


class Handler(BaseHTTPRequestHandler):
    """Pass one request on, and the response as it comes: HTTP/1.0 ends it with the connection."""

    server: Proxy

    def do_GET(self) -> None:
        is_stream = self.headers.get("Accept") == STREAM
        if "/my/status/" in self.path:
            self.server.streams += is_stream
            self.server.polls += not is_stream
        port = self.server.gateway_port if is_stream else self.server.site_port
        upstream = HTTPConnection("127.0.0.1", port, timeout=60)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            upstream.request(self.command, self.path, body or None, dict(self.headers))
            response = upstream.getresponse()
        except (OSError, HTTPException):
            self.send_error(502)
            return
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.end_headers()
        try:
            while some := response.read1(65536):
                self.wfile.write(some)
                self.wfile.flush()
        except (OSError, HTTPException):
            pass  # the gateway was killed, or the browser has left
        finally:
            upstream.close()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
