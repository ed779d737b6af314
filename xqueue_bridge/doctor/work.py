"""Findings about the work: courses, graders with their logins and grants, queues, other queues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.apps import apps
from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from xqueue_bridge.conf import options
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.doctor.finding import Finding
from xqueue_bridge.lms.waffle import FLAG_NAME
from xqueue_bridge.moving import drain, legacy_table
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderSecret, QueueGrant
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.api import has_legacy_server
from xqueue_bridge.xqueue_service.models import TransportOverride

#: Seconds after which a waiting submission or a silent grader is a finding.
STALLED = 900
COMMAND = "manage.py xqueue_bridge_grader"


def courses() -> Iterator[Finding]:
    """Which courses are switched by our overrides, and what decides for the others."""
    rows = TransportOverride.objects.values_list("scope", "name", "use_submissions_table")
    for scope, name, uses_table in rows.order_by("scope", "name")[:50]:
        transport = "the submissions table" if uses_table else "the legacy XQueue"
        yield Finding("courses", f"{f'{scope} {name}'.strip()} uses {transport}")
    if has_legacy_server():
        default = f"the flag {FLAG_NAME} decides, else the legacy XQueue of XQUEUE_INTERFACE"
    else:
        default = "the submissions table, because XQUEUE_INTERFACE names no legacy XQueue"
    yield Finding("courses", f"without an override: {default}")


def graders() -> Iterator[Finding]:
    """Each account: whether it can log in, when it was seen, and which queues it may use."""
    now = database_now()
    live = GraderSecret.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now), grader=OuterRef("pk")
    )
    rows = list(
        Grader.objects.annotate(has_secret=Exists(live)).prefetch_related("grants").order_by("name")
    )
    if not any(row.is_active and row.has_secret for row in rows):
        advice = f"run: {COMMAND} create NAME --queue QUEUE"
        yield Finding("graders", "no account can log in", advice, True)
    known = set(options().QUEUES)
    sent = Submission.objects.exclude(status="unmatched").order_by()
    known.update(sent.values_list("queue_name", flat=True).distinct())
    for row in rows:
        queues = sorted(grant.queue_name for grant in row.grants.all())
        yield from _grader(row, row.has_secret, queues, now)
        for queue_name in queues:
            if queue_name not in known and queue_name != QueueGrant.EVERY_QUEUE:
                yield Finding(
                    f"grader {row.name}",
                    f"may use {queue_name!r}, to which nothing was ever submitted",
                    f"if the name is wrong: {COMMAND} deny {row.name} --queue {queue_name}",
                )


def _grader(row: Grader, has_secret: bool, queues: list[str], now: datetime) -> Iterator[Finding]:
    area = f"grader {row.name}"
    if not row.is_active or not has_secret:
        yield Finding(area, "cannot log in: it is revoked, or its secret has expired")
        return
    if not row.may_pull:
        yield Finding(area, "gets no submissions: it is revoked, and its notice has not passed")
        return
    if not queues and not row.may_submit:
        advice = f"run: {COMMAND} grant {row.name} --queue QUEUE"
        yield Finding(area, "may use no queue", advice)
    failed, seen = row.last_failed_login_at, row.last_seen_at
    if failed is not None and (seen is None or failed > seen):
        text = f"the last login with its name failed, {_ago(failed, now)}"
        advice = f"copy its secret again, or run: {COMMAND} rotate {row.name}"
        yield Finding(area, text, advice)
    elif seen is None:
        advice = "start it with this account: docs/quickstarts/grader.rst"
        yield Finding(area, "has never logged in", advice)
    else:
        names = ", ".join(queues) or "no queue"
        silent = (now - seen).total_seconds() > STALLED
        advice = "if it should run, start it: docs/how-tos/manage_graders.rst" if silent else ""
        yield Finding(area, f"was seen {_ago(seen, now)}; {names}", advice)


def _ago(time: datetime, now: datetime) -> str:
    return f"{max((now - time).total_seconds(), 0) / 60:.0f} min ago"


def queues() -> Iterator[Finding]:
    """Queues that nothing pulls from, and queues whose graders are silent."""
    for stats in submission_queue.queue_stats():
        area = f"queue {stats.queue_name}"
        waits = stats.oldest_seconds or 0
        if stats.is_paused:
            text = f"it is paused; {stats.waiting} wait, {stats.leased} are being graded"
            advice = f"to resume it: manage.py xqueue_bridge_queue resume {stats.queue_name}"
            yield Finding(area, text, advice)
        elif stats.waiting and not stats.graders:
            advice = f"run: {COMMAND} grant NAME --queue {stats.queue_name}"
            yield Finding(area, f"{stats.waiting} wait, and no grader may pull", advice, True)
        elif waits > STALLED:
            seen = stats.grader_seen_seconds
            silent = "never" if seen is None else f"{seen / 60:.0f} min ago"
            text = f"the oldest waits for {waits / 60:.0f} minutes; a grader was seen {silent}"
            advice = "start the graders; see docs/how-tos/when_a_queue_stalls.rst"
            yield Finding(area, text, advice, True)
        else:
            yield Finding(area, f"{stats.waiting} wait, {stats.leased} are being graded")
        if stats.paused_graders:
            text = f"{stats.paused_graders} graders are paused: their replies are invalid"
            advice = "in the admin, Paused graders: repair the grader, then resume it"
            yield Finding(area, text, advice)
        if stats.failed:
            advice = "requeue or inspect them in the admin, Submissions, status failed"
            yield Finding(area, f"{stats.failed} failed in 24 hours", advice)


def other_queues() -> Iterator[Finding]:
    """What is in flight in edx-submissions, and in a legacy XQueue's database."""
    if not apps.is_installed("submissions") and legacy_table.ALIAS not in settings.DATABASES:
        return
    found = drain.in_flight()
    for course_id, sources in found.items():
        for source, counts in sources.items():
            option = "" if course_id == drain.UNKNOWN_COURSE else f" --course {course_id}"
            advice = f"run: manage.py {drain.COMMANDS[source]}{option}"
            yield Finding(source, f"{course_id}: {drain.figures(counts)}", advice)
    if not found:
        yield Finding("other queues", "0 in flight elsewhere")
