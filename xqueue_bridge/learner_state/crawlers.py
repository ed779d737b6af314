"""Detect requests of crawlers, which see pages but store no state."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.learner_state.fields.models import CrawlersConfig

OUR_NAMESPACE = "xqueue_bridge"


def is_crawler(request: HttpRequest) -> bool:
    """Return whether a page is rendered without storing anything for its user.

    Calls ``XQUEUE_BRIDGE["CRAWLER_DETECTOR"]``. Always False at the bridge's own URLs, because a
    grader's reply belongs to a learner, whatever its User-Agent is.
    """
    resolved = getattr(request, "resolver_match", None)
    if resolved is not None and OUR_NAMESPACE in resolved.app_names:
        return False
    return bool(import_string(options().CRAWLER_DETECTOR)(request))


def is_known_crawler(request: HttpRequest) -> bool:
    """Return whether ``CrawlersConfig`` has the request's User-Agent; the default detector."""
    return CrawlersConfig.is_crawler(request)
