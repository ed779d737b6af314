"""URL patterns of the XQueue protocol. Each works with and without its trailing slash."""

from django.db.transaction import non_atomic_requests
from django.urls import URLPattern, path
from django.views.decorators.debug import sensitive_post_parameters

from xqueue_bridge.db.transactions import retry_on_lost_connection
from xqueue_bridge.grader_api import views
from xqueue_bridge.grader_api.description import openapi_json
from xqueue_bridge.grader_api.file_views import download_file
from xqueue_bridge.grader_api.submit import SubmitView

#: In the order in which Django tries them: most requests first.
ENDPOINTS = {
    "get_submission": views.SubmissionView,
    "put_result": views.ResultView,
    "login": views.LoginView,
    "logout": views.LogoutView,
    "status": views.StatusView,
    "submit": SubmitView,
    "get_queuelen": views.QueueLengthView,
}

urlpatterns: list[URLPattern] = []
for name, view in ENDPOINTS.items():
    # Each view opens its own short transactions, regardless of ATOMIC_REQUESTS. POST parameters are
    # left out of Django's error mails.
    endpoint = retry_on_lost_connection(view.as_view())
    endpoint = non_atomic_requests(sensitive_post_parameters()(endpoint))
    urlpatterns += [
        path(f"{name}/", endpoint, name=name),
        # APPEND_SLASH would redirect, and a POST must not be redirected.
        path(name, endpoint),
    ]

_download_file = retry_on_lost_connection(download_file)
urlpatterns += [
    path("files/<token>/", _download_file, name="file"),
    path("files/<token>/<path:name>", _download_file),
    path("openapi.json", openapi_json, name="openapi"),
]
