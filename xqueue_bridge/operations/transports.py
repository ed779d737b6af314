"""Choose the transport of a course, an organisation or the site, and record who did it."""

from __future__ import annotations

from django.db import transaction

from xqueue_bridge.operations.actions import record
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.xqueue_service import api as xqueue_service


def set_transport(
    scope: str,
    name: str,
    use_submissions_table: bool | None,
    *,
    author_id: int | None = None,
) -> OperatorAction:
    """Choose our submissions table or the legacy server; None removes the choice.

    ``scope``: "course", "org" or "site"; ``name``: the course key, the organisation's short name,
    or "" for the site.
    """
    with transaction.atomic():
        xqueue_service.set_transport_override(scope, name, use_submissions_table)
        return record_transport(scope, name, use_submissions_table, author_id)


def record_transport(
    scope: str, name: str, use_submissions_table: bool | None, author_id: int | None
) -> OperatorAction:
    """Record a transport that is chosen; call it in the transaction of its change. One INSERT."""
    parameters = {"scope": scope, "name": name, "use_submissions_table": use_submissions_table}
    return record(OperatorAction.Kind.TRANSPORT, author_id, parameters=parameters)
