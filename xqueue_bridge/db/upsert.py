"""Insert or update rows with one statement."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.db.models import Model


def upsert(rows: Sequence[Model], *, key: Sequence[str], fields: Sequence[str]) -> None:
    """Insert ``rows`` of one model; update ``fields`` of rows whose unique ``key`` exists."""
    if not rows:
        return
    # MySQL checks all unique keys and accepts no list of them.
    with_target = connection.features.supports_update_conflicts_with_target
    type(rows[0])._default_manager.bulk_create(
        rows,
        update_conflicts=True,
        update_fields=fields,
        unique_fields=key if with_target else None,
    )
