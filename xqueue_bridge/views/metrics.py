"""The URL that a Prometheus server scrapes."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xqueue_bridge.conf import options
from xqueue_bridge.metrics import exposition


@require_GET
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to who sends ``Authorization: Bearer`` with ``METRICS_TOKEN``.

    Responds 404 if no token is set or the extra ``metrics`` is not installed, and 401 to another
    token.
    """
    token = options().METRICS_TOKEN
    if not token or not exposition.is_installed:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not constant_time_compare(given, f"Bearer {token}"):
        response = HttpResponse("Wrong or no token\n", status=401, content_type="text/plain")
        response["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return response
    body, content_type = exposition.exposition(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)
