"""The benchmarks' settings, as in an LMS: the course grades are the platform's."""

import logging

from benchmarks.settings import *  # noqa: F403

QUEUE = "regrades"
XQUEUE_BRIDGE = {
    "COURSE_STRUCTURE_BACKEND": None,
    "QUEUES": {QUEUE: {"LEASE_SECONDS": 10, "MAX_DELIVERIES": 50}},
}
logging.getLogger("xqueue_bridge").setLevel(logging.ERROR)
