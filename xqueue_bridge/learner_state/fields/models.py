"""Tables of the field scopes other than user_state, and the crawler configuration."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import models, transaction
from django.http import HttpRequest

from xqueue_bridge.conf import options
from xqueue_bridge.db.fields import (
    BlockTypeKeyField,
    CaseSensitiveCharField,
    LearningContextKeyField,
    UsageKeyField,
)


class StoredField(models.Model):
    """One value of one field, as JSON text."""

    field_name = CaseSensitiveCharField(max_length=64)
    value = models.TextField(default="null")
    created = models.DateTimeField()
    modified = models.DateTimeField()

    class Meta:
        abstract = True


class XModuleUserStateSummaryField(StoredField):
    """A block's field that all its learners share: the counts of a poll, for example.

    ``course_id`` is the course or library of the block. A deprecated (i4x) key does not contain
    its run, so without this column two runs would share their summaries.

    .. pii: What learners contributed, without their names: the words of a word cloud, say.
    .. pii_types: other
    .. pii_retirement: retained
    """

    course_id = LearningContextKeyField(max_length=255)
    usage_id = UsageKeyField(max_length=255)

    class Meta:
        verbose_name = "user state summary field"
        constraints = [
            models.UniqueConstraint(
                fields=["course_id", "usage_id", "field_name"],
                name="xqueue_bridge_summary_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.field_name} of all learners at {self.usage_id}"


class XModuleStudentPrefsField(StoredField):
    """A learner's preference, the same at all blocks of one type.

    .. pii: How the learner likes blocks to behave.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    student = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="xqueue_bridge_student_prefs",
    )
    module_type = BlockTypeKeyField(max_length=64)

    class Meta:
        verbose_name = "student preferences field"
        constraints = [
            models.UniqueConstraint(
                fields=["student", "module_type", "field_name"],
                name="xqueue_bridge_prefs_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.field_name} of learner {self.student_id} at every {self.module_type}"


class XModuleStudentInfoField(StoredField):
    """A learner's field that blocks of every type share.

    .. pii: What the learner told blocks about themselves, such as a language.
    .. pii_types: other
    .. pii_retirement: local_api
    """

    student = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="xqueue_bridge_student_info",
    )

    class Meta:
        verbose_name = "student info field"
        constraints = [
            models.UniqueConstraint(
                fields=["student", "field_name"],
                name="xqueue_bridge_info_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.field_name} of learner {self.student_id}"


class CrawlersConfig(models.Model):
    """The User-Agents of crawlers. The table has at most one row.

    ``known_user_agents``: case-sensitive prefixes of User-Agents, separated by commas.

    .. no_pii:
    """

    CACHE_KEY = "xqueue_bridge.crawlers"
    CACHE_SECONDS = 60

    enabled = models.BooleanField(default=False)
    known_user_agents = models.TextField(
        blank=True,
        default="edX-downloader",
        help_text="How the User-Agent of each crawler begins, separated by commas.",
    )
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "crawlers configuration"
        verbose_name_plural = "crawlers configuration"

    def __str__(self) -> str:
        return "crawlers" if self.enabled else "crawlers (not enabled)"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        kwargs.pop("force_insert", None)  # create() would fail if the row exists
        super().save(*args, **kwargs)
        self._forget()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        self._forget()
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
        cache = caches[options().CACHE_ALIAS]
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

    def _forget(self) -> None:
        cache = caches[options().CACHE_ALIAS]
        cache.delete(self.CACHE_KEY)
        # Delete again after the commit: another process may have cached the old row meanwhile.
        transaction.on_commit(lambda: cache.delete(self.CACHE_KEY))
