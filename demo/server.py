"""The demo's web server: Django's threaded one, on loopback.

    DJANGO_SETTINGS_MODULE=demo.settings python -m demo.server 8800

runs the server only; ``demo.run`` starts the other processes, too.
"""

import sys

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application


def bind(host: str, port: int) -> ThreadedWSGIServer:
    """Return a server that is listening; port 0 means a free port (``server_address``).

    Call ``serve_forever()`` in the thread that shall serve, ``shutdown()`` from another.
    """
    server = ThreadedWSGIServer((host, port), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    return server


def main(port: int) -> None:
    """Serve until interrupted; print the URL."""
    server = bind("127.0.0.1", port)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
