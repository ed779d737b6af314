"""Ground: columns of names, which are compared by their very characters."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class CaseSensitiveCharField(models.CharField):
    """A CharField in which "a", "A" and "á" are three values.

    They are so by themselves on PostgreSQL and SQLite; on MySQL and MariaDB a database's usual
    collation takes them for one.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters
