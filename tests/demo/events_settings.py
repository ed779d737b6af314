"""The demo's settings, with a gateway that pushes learners' status."""

from demo.settings import *  # noqa: F403
from demo.settings import XQUEUE_BRIDGE

XQUEUE_BRIDGE = {**XQUEUE_BRIDGE, "GATEWAY": {"LEARNER_EVENTS": True}}
