"""The gateway's process: uvicorn with the gateway's application, until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import resource
from contextlib import nullcontext
from typing import Any

from xqueue_bridge.gateway.application import Gateway
from xqueue_bridge.option_groups import GatewayOptions
from xqueue_bridge.worker.stop_signals import StopFlag

log = logging.getLogger(__name__)

#: Seconds for requests that run when the process is stopped; less than stop_signals.GRACE_SECONDS.
LAST_SECONDS = 2
#: Open files besides connections: the databases', the log's, temporary ones.
_OTHER_FILES = 200
_STEP_SECONDS = 0.1


async def serve(chosen: GatewayOptions, host: str, port: int, stop: StopFlag) -> None:
    """Serve until ``stop`` is set; then end within a few seconds."""
    import uvicorn

    _raise_file_limit(chosen.MAX_CONNECTIONS)
    gateway = Gateway(chosen)
    config = uvicorn.Config(
        gateway,
        host=host,
        port=port,
        loop="asyncio",
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,  # the host's LOGGING
        access_log=False,
        server_header=False,
        proxy_headers=False,  # Django and TRUSTED_PROXIES decide whom to trust
        limit_concurrency=chosen.MAX_CONNECTIONS,
        backlog=min(chosen.MAX_CONNECTIONS, 4096),
        timeout_keep_alive=75,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    server: Any = uvicorn.Server(config)
    server.capture_signals = nullcontext  # ``stop`` receives them
    gateway.start()
    serving = asyncio.ensure_future(server.serve())
    try:
        while not serving.done() and not stop.received:
            await asyncio.wait([serving], timeout=_STEP_SECONDS)
    finally:
        gateway.stop()
        server.should_exit = True
    await serving
    await asyncio.to_thread(gateway.close)


def _raise_file_limit(connections: int) -> None:
    """Allow as many open files as the connections need, if the system's limit permits it."""
    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log.warning("Only %d files may be open: the gateway needs %d", allowed, needed)
