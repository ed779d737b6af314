"""The demo's web server: Django's own, threaded, on an address of this machine.

    DJANGO_SETTINGS_MODULE=demo.settings python -m demo.server 8000

serves alone; ``demo.run`` serves it together with everything else that the demo needs.
"""

import sys

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application


def bind(host: str, port: int) -> ThreadedWSGIServer:
    """Return a server that listens already; port 0 takes a free one (``server_address``).

    Call ``serve_forever()`` in the thread that shall serve, ``shutdown()`` from another.
    """
    server = ThreadedWSGIServer((host, port), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    return server


def main(port: int) -> None:
    """Serve until interrupted; says where on standard output."""
    server = bind("127.0.0.1", port)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
