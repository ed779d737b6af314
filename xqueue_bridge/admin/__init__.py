"""Admin of the bridge's models. Keys and learners' work are never shown.

A list shows the columns that fit a window of 1280 pixels; the change page shows the rest.
"""

from xqueue_bridge.admin import graders, grades, learners, priorities, queues, regrades

__all__ = ["graders", "grades", "learners", "priorities", "queues", "regrades"]
