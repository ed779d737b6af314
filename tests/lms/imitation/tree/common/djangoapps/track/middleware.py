"""The platform's TrackMiddleware, which stores each request's parameters in the tracking log."""

import json
import re

from django.conf import settings
from django.utils.deprecation import MiddlewareMixin

#: The events, instead of a tracking log.
EVENTS: list[tuple[str, str]] = []


class TrackMiddleware(MiddlewareMixin):
    def process_request(self, request):
        ignored = getattr(settings, "TRACKING_IGNORE_URL_PATTERNS", [])
        if any(re.match(pattern, request.path) for pattern in ignored):
            return
        event = {"GET": dict(request.GET), "POST": dict(request.POST)}
        EVENTS.append((request.path, json.dumps(event)[:512]))
