"""Run the gateway, which holds pulls until there is work."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.conf import gateway_options
from xqueue_bridge.worker.stop_signals import StopSignals


class Command(BaseCommand):
    help = "Serve graders, and hold each pull until there is work, until SIGTERM or SIGINT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="Address (default: 127.0.0.1).")
        parser.add_argument("--port", type=int, default=8030, help="TCP port (default: 8030).")

    def handle(self, *args: object, host: str, port: int, **options: object) -> None:
        chosen = gateway_options()
        if chosen is None:
            raise CommandError(
                "XQUEUE_BRIDGE['GATEWAY'] is None: web processes announce no submissions. "
                "Set it to {} for all processes."
            )
        if find_spec("uvicorn") is None:
            raise CommandError("uvicorn is missing: pip install 'xqueue-bridge[gateway]'")
        from xqueue_bridge.gateway.server import serve

        with StopSignals() as stop:
            asyncio.run(serve(chosen, host, port, stop))
