"""Changes of grader accounts: create, grant, deny, revoke, rotate; each is recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

from django.db import transaction

from xqueue_bridge.operations.actions import record
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.submission_queue import api as submission_queue

Grader = submission_queue.Grader
Kind = OperatorAction.Kind


def create_grader(
    name: str,
    queue_names: Iterable[str] = (),
    *,
    may_submit: bool = False,
    author_id: int | None = None,
) -> str:
    """Create a grader that may use these queues; return its secret, which is shown only once.

    Raises as ``submission_queue.create_grader`` does.
    """
    with transaction.atomic():
        secret = submission_queue.create_grader(name, queue_names, may_submit=may_submit)
        record_creation(Grader.objects.get(name=name), author_id)
    return secret


def change_grants(
    grader: Grader,
    *,
    granted: Iterable[str] = (),
    denied: Collection[str] = (),
    author_id: int | None = None,
) -> None:
    """Let a grader use some queues, and others no more."""
    with transaction.atomic():
        before = queues_of(grader)
        for queue_name in granted:
            grader.grants.get_or_create(queue_name=queue_name)
        grader.grants.filter(queue_name__in=denied).delete()
        record_grants(grader, before, author_id)


def queues_of(grader: Grader) -> set[str]:
    """Return the names of the queues that a grader may use; one statement."""
    return set(grader.grants.values_list("queue_name", flat=True))


def record_creation(grader: Grader, author_id: int | None) -> OperatorAction:
    """Record that a grader account is new, with its grants; call it in the transaction of both."""
    parameters = {
        "grader": grader.name,
        "queues": sorted(queues_of(grader)),
        "may_submit": grader.may_submit,
    }
    return record(Kind.CREATE, author_id, parameters=parameters)


def record_grants(grader: Grader, before: Collection[str], author_id: int | None) -> None:
    """Record which queues were granted and denied; call it in the transaction of the change."""
    now, former = queues_of(grader), set(before)
    for kind, names in ((Kind.GRANT, now - former), (Kind.DENY, former - now)):
        if names:
            parameters = {"grader": grader.name, "queues": sorted(names)}
            number = len(names)
            record(kind, author_id, parameters=parameters, selected=number, changed=number)


def record_account(
    name: str, fields: Mapping[str, object], author_id: int | None
) -> OperatorAction:
    """Record the new values of an account's fields; call it in the transaction of the change."""
    parameters = {"grader": name, "fields": dict(fields)}
    return record(Kind.ACCOUNT, author_id, parameters=parameters)


def record_deletion(name: str, author_id: int | None) -> OperatorAction:
    """Record that an account was deleted; call it in the transaction of the deletion."""
    return record(Kind.DELETE, author_id, parameters={"grader": name})


def revoke_grader(
    grader: Grader,
    *,
    notice: timedelta = timedelta(0),
    author_id: int | None = None,
) -> OperatorAction:
    """Let a grader pull nothing more, and log in no more when the notice has passed.

    With a notice it may return the results of what it holds. Without one its leases end, so that
    other graders get those submissions at once.
    """
    with transaction.atomic():
        submission_queue.end_access(grader, notice)
        released = 0 if notice else submission_queue.release_leases(grader)
        return record(
            Kind.REVOKE,
            author_id,
            parameters={
                "grader": grader.name,
                "notice_minutes": round(notice / timedelta(minutes=1)),
                "leases_ended": released,
            },
        )


def rotate_secret(grader: Grader, *, overlap: timedelta, author_id: int | None = None) -> str:
    """Return a new secret of a grader; the former one is valid for ``overlap``."""
    with transaction.atomic():
        secret = submission_queue.issue_secret(grader, overlap=overlap)
        record(
            Kind.ROTATE,
            author_id,
            parameters={
                "grader": grader.name,
                "overlap_hours": overlap / timedelta(hours=1),
            },
        )
    return secret
