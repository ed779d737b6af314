"""URL patterns of the bridge, to be included at the root of the host's URLs.

path("", include("xqueue_bridge.urls"))
"""

from django.urls import include, path, re_path

from xqueue_bridge.db.transactions import retry_on_lost_connection
from xqueue_bridge.grader_api.callback import xqueue_callback
from xqueue_bridge.health import health
from xqueue_bridge.lms.callback_url import PATTERN
from xqueue_bridge.views.alerts import alerts, alerts_csv
from xqueue_bridge.views.graders import (
    graders,
    graders_csv,
    reply_codes,
    reply_codes_csv,
    revoke_grader,
)
from xqueue_bridge.views.metrics import metrics
from xqueue_bridge.views.operator_actions import operator_actions, operator_actions_csv
from xqueue_bridge.views.priorities import priorities, priorities_csv
from xqueue_bridge.views.queue_actions import queue_action
from xqueue_bridge.views.queue_priority import queue_priority
from xqueue_bridge.views.queues import queue_history, queue_history_csv, queues, queues_csv
from xqueue_bridge.views.work import work, work_csv

app_name = "xqueue_bridge"

urlpatterns = [
    # First, because Django tries the patterns of each request in this order.
    path("xqueue/", include("xqueue_bridge.grader_api.urls")),
    path("xqueue/queues/", queues, name="queues"),
    path("xqueue/queues.csv", queues_csv, name="queues_csv"),
    path("xqueue/queues/history/", queue_history, name="queue_history"),
    path("xqueue/queues/history.csv", queue_history_csv, name="queue_history_csv"),
    path("xqueue/queues/act/", queue_action, name="queue_action"),
    path("xqueue/queues/priority/", queue_priority, name="queue_priority"),
    path("xqueue/queues/priorities/", priorities, name="priorities"),
    path("xqueue/queues/priorities.csv", priorities_csv, name="priorities_csv"),
    path("xqueue/queues/actions/", operator_actions, name="operator_actions"),
    path("xqueue/queues/actions.csv", operator_actions_csv, name="operator_actions_csv"),
    path("xqueue/queues/alerts/", alerts, name="alerts"),
    path("xqueue/queues/alerts.csv", alerts_csv, name="alerts_csv"),
    path("xqueue/queues/work/", work, name="work"),
    path("xqueue/queues/work.csv", work_csv, name="work_csv"),
    path("xqueue/queues/graders/", graders, name="graders"),
    path("xqueue/queues/graders.csv", graders_csv, name="graders_csv"),
    path("xqueue/queues/graders/codes/", reply_codes, name="reply_codes"),
    path("xqueue/queues/graders/codes.csv", reply_codes_csv, name="reply_codes_csv"),
    re_path(r"^xqueue/queues/graders/([0-9]{1,18})/revoke/$", revoke_grader, name="revoke_grader"),
    path("xqueue/metrics/", metrics, name="metrics"),
    path("xqueue/health/", health, name="health"),
    path("xqueue/", include("xqueue_bridge.views.urls")),
    re_path(rf"^{PATTERN}$", retry_on_lost_connection(xqueue_callback), name="xqueue_callback"),
]
