"""URL patterns of the bridge, to be included at the root of the host's URLs.

path("", include("xqueue_bridge.urls"))
"""

from django.urls import include, path, re_path

from xqueue_bridge.db.transactions import retry_on_lost_connection
from xqueue_bridge.grader_api.callback import xqueue_callback
from xqueue_bridge.health import health
from xqueue_bridge.lms.callback_url import PATTERN
from xqueue_bridge.views.graders import graders, revoke_grader
from xqueue_bridge.views.metrics import metrics
from xqueue_bridge.views.queue_actions import queue_action
from xqueue_bridge.views.queue_priority import queue_priority
from xqueue_bridge.views.queues import queue_history, queues

app_name = "xqueue_bridge"

urlpatterns = [
    path("xqueue/queues/", queues, name="queues"),
    path("xqueue/queues/history/", queue_history, name="queue_history"),
    path("xqueue/queues/act/", queue_action, name="queue_action"),
    path("xqueue/queues/priority/", queue_priority, name="queue_priority"),
    path("xqueue/queues/graders/", graders, name="graders"),
    re_path(r"^xqueue/queues/graders/([0-9]{1,18})/revoke/$", revoke_grader, name="revoke_grader"),
    path("xqueue/metrics/", metrics, name="metrics"),
    path("xqueue/health/", health, name="health"),
    path("xqueue/", include("xqueue_bridge.grader_api.urls")),
    path("xqueue/", include("xqueue_bridge.views.urls")),
    re_path(rf"^{PATTERN}$", retry_on_lost_connection(xqueue_callback), name="xqueue_callback"),
]
