"""The benchmarks' settings with short leases, so that a run meets many expired ones."""

import logging

from benchmarks.settings import *  # noqa: F403

LEASE_SECONDS = 3
QUEUE = "soak"
XQUEUE_BRIDGE = {
    "QUEUES": {QUEUE: {"LEASE_SECONDS": LEASE_SECONDS, "MAX_DELIVERIES": 50}},
    "STALE_AFTER_SECONDS": 20,
}
# Refused replies and failed submissions are part of the run.
logging.getLogger("xqueue_bridge").setLevel(logging.ERROR)
