"""Door: our addresses, to be included at the root of the host's.

path("", include("xqueue_bridge.urls"))
"""

from django.urls import include, path, re_path

from xqueue_bridge.callback_address import PATTERN
from xqueue_bridge.external_grader.callback_views import xqueue_callback
from xqueue_bridge.external_grader.operator_views import queues

app_name = "xqueue_bridge"

urlpatterns = [
    path("xqueue/queues/", queues, name="queues"),
    path("xqueue/", include("xqueue_bridge.external_grader.rest_api.urls")),
    path("xqueue/", include("xqueue_bridge.persistent_grades.pages.urls")),
    re_path(rf"^{PATTERN}$", xqueue_callback, name="xqueue_callback"),
]
