"""Requests that only read: crawlers see the pages, and leave no state behind."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.learner_state.fields.models import CrawlersConfig

OUR_NAMESPACE = "xqueue_bridge"


def is_crawler(request: HttpRequest) -> bool:
    """Say whether a page is to be rendered without storing anything for its reader.

    Asks ``XQUEUE_BRIDGE["CRAWLER_DETECTOR"]``. Never true at the bridge's own addresses: a
    grader's reply is for a learner, whatever program brings it.
    """
    resolved = getattr(request, "resolver_match", None)
    if resolved is not None and OUR_NAMESPACE in resolved.app_names:
        return False
    return bool(import_string(options().CRAWLER_DETECTOR)(request))


def is_known_crawler(request: HttpRequest) -> bool:
    """Say whether ``CrawlersConfig`` knows the request's User-Agent; the default detector."""
    return CrawlersConfig.is_crawler(request)
