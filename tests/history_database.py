"""The tests' second database holds one table, so that setting it up and emptying it is quick."""

from __future__ import annotations

from typing import Any


class OnlyHistory:
    """What ``HistoryRouter`` says once a host has given the database to history, said always."""

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        return model_name == "studentmodulehistoryextended" if db == "history" else None
