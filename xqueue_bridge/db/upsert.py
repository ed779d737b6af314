"""Ground: rows inserted where they are missing and updated where they are not, by one statement."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.db.models import Model


def upsert(rows: Sequence[Model], *, key: Sequence[str], fields: Sequence[str]) -> None:
    """Insert ``rows`` of one model; of those whose unique ``key`` is taken, update ``fields``."""
    if not rows:
        return
    # MySQL looks at all unique keys by itself, and takes no list of them.
    with_target = connection.features.supports_update_conflicts_with_target
    type(rows[0])._default_manager.bulk_create(
        rows,
        update_conflicts=True,
        update_fields=fields,
        unique_fields=key if with_target else None,
    )
