"""Model fields whose values are compared case-sensitively on every database."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class CaseSensitiveCharField(models.CharField):
    """A CharField in which "a", "A" and "á" are three values.

    This is the default on PostgreSQL and SQLite; the default collations of MySQL and MariaDB treat
    them as equal.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters
