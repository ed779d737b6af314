"""The machine-readable description of the graders' endpoints."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from xqueue_bridge.protocol.schemas import openapi


@require_safe
@cache_control(public=True, max_age=3600)
def openapi_json(request: HttpRequest) -> JsonResponse:
    """Return the OpenAPI 3.1 document; it needs no session."""
    return JsonResponse(openapi())
