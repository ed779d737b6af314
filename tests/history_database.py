"""Router of the tests' second database, which has one table, so that its set-up is fast."""

from __future__ import annotations

from typing import Any


class OnlyHistory:
    """Route migrations as ``HistoryRouter`` does when the database is for history only."""

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        return model_name == "studentmodulehistoryextended" if db == "history" else None
