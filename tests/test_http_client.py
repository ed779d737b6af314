"""Requests to other services: no password of ~/.netrc, no redirect, and safe error codes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from requests.auth import HTTPBasicAuth

from xqueue_bridge import http_client


class Service:
    """A server on two host names of loopback that notes each request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[tuple[str, str, str | None]] = []

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
def service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            found.seen.append((self.command, self.path, self.headers.get("Authorization")))
            self.send_response(307 if self.path == "/moved" else 200)
            self.send_header("Location", found.url("/new", host="localhost"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Service(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    hosts = "".join(f"machine {host} login a password b\n" for host in ("127.0.0.1", "localhost"))
    netrc.write_text(hosts)
    monkeypatch.setenv("NETRC", str(netrc))


def test_netrc_is_not_read(service: Service) -> None:
    """C129: a password for the host in ~/.netrc is not sent."""
    assert http_client.post(service.url("/")).status_code == 200
    assert service.seen == [("POST", "/", None)]


def test_own_auth_is_sent(service: Service) -> None:
    http_client.post(service.url("/"), auth=HTTPBasicAuth("c", "d"))
    assert service.seen[0][2] == "Basic Yzpk"


def test_post_follows_no_redirect(service: Service) -> None:
    assert http_client.post(service.url("/moved")).status_code == 307
    assert [path for _, path, _ in service.seen] == ["/moved"]


def test_session_that_is_redirected_to_another_host(service: Service) -> None:
    """C129: the other host gets neither our password nor one of ~/.netrc."""
    with http_client.HTTPSession(HTTPBasicAuth("c", "d")) as session:
        assert session.post(service.url("/moved"), timeout=10).status_code == 200
    assert service.seen == [("POST", "/moved", "Basic Yzpk"), ("POST", "/new", None)]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (requests.exceptions.SSLError("https://secret"), "certificate"),
        (requests.ConnectTimeout("https://secret"), "timeout"),
        (requests.ConnectionError("https://secret"), "no connection"),
        (requests.exceptions.ChunkedEncodingError("https://secret"), "no connection"),
        (ValueError("https://secret"), "ValueError"),
    ],
)
def test_error_code_holds_no_url(error: Exception, code: str) -> None:
    """C129: the code says which kind of error it was."""
    assert http_client.error_code(error) == code
