"""Detect requests of crawlers, which see pages but store no state; the table of known ones."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options

OUR_NAMESPACE = "xqueue_bridge"


class CrawlersConfig(models.Model):
    """The User-Agents of crawlers. The table has at most one row.

    ``known_user_agents``: case-sensitive prefixes of User-Agents, separated by commas.

    .. no_pii:
    """

    CACHE_KEY = "xqueue_bridge.crawlers"
    CACHE_SECONDS = 60

    enabled = models.BooleanField(_("enabled"), default=False)
    known_user_agents = models.TextField(
        _("known user agents"),
        blank=True,
        default="edX-downloader",
        help_text=_("How the User-Agent of each crawler begins, separated by commas."),
    )
    modified = models.DateTimeField(_("modified"), auto_now=True)

    class Meta:
        verbose_name = _("crawlers configuration")
        verbose_name_plural = _("crawlers configuration")

    def __str__(self) -> str:
        return gettext("crawlers") if self.enabled else gettext("crawlers (not enabled)")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        kwargs.pop("force_insert", None)  # create() would fail if the row exists
        super().save(*args, **kwargs)
        self._clear_cache()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        self._clear_cache()
        return deleted

    @property
    def agents(self) -> tuple[str, ...]:
        """The known prefixes, stripped, without empty ones."""
        return tuple(agent.strip() for agent in self.known_user_agents.split(",") if agent.strip())

    @classmethod
    def current_agents(cls) -> tuple[str, ...]:
        """Return the prefixes that are in effect; none if not enabled.

        The result is up to ``CACHE_SECONDS`` old if another process that does not share our cache
        has changed the row.
        """
        cache = BestEffortCache()
        agents = cache.get(cls.CACHE_KEY)
        if agents is None:
            row = cls.objects.filter(pk=1, enabled=True).first()
            agents = row.agents if row else ()
            cache.set(cls.CACHE_KEY, agents, cls.CACHE_SECONDS)
        return agents

    @classmethod
    def is_crawler(cls, request: HttpRequest) -> bool:
        """Return whether the request's User-Agent begins with a known prefix."""
        agent: str = request.META.get("HTTP_USER_AGENT", "")
        return agent.startswith(cls.current_agents())

    def _clear_cache(self) -> None:
        cache = BestEffortCache()
        cache.delete(self.CACHE_KEY)
        # Delete again after the commit: another process may have cached the old row meanwhile.
        transaction.on_commit(lambda: cache.delete(self.CACHE_KEY))


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
