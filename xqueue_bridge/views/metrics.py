"""The URL that a Prometheus server scrapes."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xqueue_bridge.conf import options
from xqueue_bridge.metrics import exposition
from xqueue_bridge.views.decorators import has_bearer_token, token_required


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
    if not has_bearer_token(request, token):
        return token_required("metrics")
    body, content_type = exposition.exposition(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)
