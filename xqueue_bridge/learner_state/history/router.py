"""Database router of the extended history table."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from xqueue_bridge.conf import options
from xqueue_bridge.learner_state.history.models import StudentModuleHistoryExtended

_NAME = StudentModuleHistoryExtended._meta.model_name


class HistoryRouter:
    """Route the extended history to ``HISTORY_DATABASE``, and all other tables elsewhere.

    Without that setting it returns None. The extended table also exists, mostly empty, in the
    default database, so the setting can be removed again.
    """

    def db_for_read(self, model: type[Model], **hints: object) -> str | None:
        return _database() if model is StudentModuleHistoryExtended else None

    def db_for_write(self, model: type[Model], **hints: object) -> str | None:
        return _database() if model is StudentModuleHistoryExtended else None

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: object
    ) -> bool | None:
        if db != _database():
            return None
        return app_label == StudentModuleHistoryExtended._meta.app_label and model_name == _NAME


def _database() -> str | None:
    alias = options().HISTORY_DATABASE
    return None if alias == DEFAULT_DB_ALIAS else alias
