"""nginx and Caddy with the configuration that ``docs/how-tos/hold_pulls.rst`` prints."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.side_by_side.systems import free_port
from tests.gateway.process import await_start
from tests.installation.pages import section

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on; gzip_types *;
    {outside}
    server {{
        listen 127.0.0.1:{port};
        {inside}
    }}
}}
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    {inside}
}}
"""


@contextmanager
def proxy(kind: str, folder: Path, gateway: int, web: int) -> Iterator[int]:
    """Run ``nginx`` or ``caddy`` in front of two ports; yield its own."""
    blocks = section("docs/how-tos/hold_pulls.rst", "Behind a proxy").blocks
    printed = [text for name, text in blocks if name == ("nginx" if kind == "nginx" else "text")]
    *outside, inside = (
        text.replace(":8030", f":{gateway}").replace(":8000", f":{web}") for text in printed
    )
    port, path = free_port(), folder / f"{kind}.conf"
    form = NGINX if kind == "nginx" else CADDY
    filled = form.format(folder=folder, port=port, outside="".join(outside), inside=inside)
    path.write_text(filled, encoding="utf-8")
    command = {
        "nginx": ["nginx", "-p", str(folder), "-c", str(path)],
        "caddy": ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)],
    }[kind]
    log = folder / f"{kind}.log"
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            await_start(port, running, log)
            yield port
        finally:
            running.kill()
            running.wait()


@contextmanager
def web_process() -> Iterator[int]:
    """Run a server that says what it was asked for, in place of the web processes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = f"web: {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Print nothing."""
