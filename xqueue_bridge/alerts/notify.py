"""Send the notifications of alerts: a mail, and a signed POST to a webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils.translation import gettext as _

from xqueue_bridge import http_client
from xqueue_bridge.alerts.models import Alert
from xqueue_bridge.conf import alert_options
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.option_groups import AlertOptions
from xqueue_bridge.worker.backoff import backoff

MAX_ATTEMPTS = 12
#: Seconds before the second attempt, and at most between two.
FIRST_DELAY, LONGEST_DELAY = 30.0, 1800.0
#: A process that was killed while it sent has its notification sent again after this time.
CLAIM = timedelta(minutes=5)
#: Notifications of one call: each may wait for two servers.
LIMIT = 5
MAIL_TIMEOUT = 10.0
SIGNATURE_HEADER = "X-XQueue-Bridge-Signature"

log = logging.getLogger(__name__)


class NotificationError(Exception):
    """A notification was not taken; the text has no address and no secret."""


def send_due_alerts() -> int:
    """Send the notifications that are due; return how many were tried.

    A notification is sent at least once: if the mail fails, the webhook is called again too.
    """
    channels = alert_options()
    if channels is None:
        return 0
    tried = 0
    for row in Alert.objects.due(LIMIT):
        row.attempts += 1
        if not Alert.objects.claim(row, database_now() + CLAIM):
            continue
        tried += 1
        _send(row, channels)
    return tried


def _send(row: Alert, channels: AlertOptions) -> None:
    now = database_now()
    try:
        if channels.WEBHOOK_URL:
            _post(row, channels, now)
        if channels.EMAILS:
            _mail(row, channels)
    except NotificationError as exc:
        log.warning("Notification of alert %s failed: %s", row.pk, exc)
        if row.attempts >= MAX_ATTEMPTS:
            Alert.objects.mark_final(row, str(exc))
            return
        wait = backoff(row.attempts, FIRST_DELAY, LONGEST_DELAY)
        Alert.objects.schedule_retry(row, str(exc), now + timedelta(seconds=wait))
    else:
        _mark_told(row, now)


def _mark_told(row: Alert, now: datetime) -> None:
    values = {"is_told": row.is_open, "notified_at": now}
    if not Alert.objects.mark_final(row, **values):
        # The trouble ended or began again meanwhile: that is told now.
        Alert.objects.filter(pk=row.pk).update(**values, next_attempt_at=now)


def _post(row: Alert, channels: AlertOptions, now: datetime) -> None:
    body = json.dumps(notification(row, now)).encode()
    secret = (channels.WEBHOOK_SECRET or "").encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", SIGNATURE_HEADER: f"sha256={signature}"}
    try:
        # The body of the response is not read: it has no meaning here, and no bound.
        with http_client.post(
            str(channels.WEBHOOK_URL), data=body, headers=headers, stream=True
        ) as response:
            status = response.status_code
    except http_client.HTTP_ERRORS as exc:
        raise NotificationError(f"webhook: {http_client.error_code(exc)}") from None
    if not 200 <= status < 300:
        raise NotificationError(f"webhook: status {status}")


def notification(row: Alert, now: datetime) -> dict[str, object]:
    """Return the webhook's body. ``id`` is the same in each attempt to send one change."""
    return {
        "version": 1,
        "id": f"{row.pk}-{row.changed_at.timestamp():.0f}",
        "kind": row.kind,
        "queue": row.queue_name,
        "status": "open" if row.is_open else "cleared",
        "since": row.changed_at.isoformat(),
        "sent_at": now.isoformat(),
        "text": text(row),
        "measured": row.detail,
    }


def text(row: Alert) -> str:
    """Return what has happened, in one line."""
    values = {"kind": row.get_kind_display(), "queue": row.queue_name}
    if row.is_open:
        return _("Queue %(queue)s: %(kind)s") % values
    return _("Queue %(queue)s: ended: %(kind)s") % values


def _mail(row: Alert, channels: AlertOptions) -> None:
    lines = [
        text(row),
        "",
        _("Since: %(time)s") % {"time": row.changed_at.isoformat(timespec="seconds")},
        _("Measured: %(detail)s") % {"detail": row.detail},
        "",
        _("The queues page, /xqueue/queues/, shows more."),
    ]
    timeout = settings.EMAIL_TIMEOUT or MAIL_TIMEOUT
    try:
        EmailMessage(
            text(row).replace("\n", " "),
            "\n".join(lines),
            to=list(channels.EMAILS),
            connection=get_connection(timeout=timeout),
        ).send()
    except Exception as exc:  # each mail backend has errors of its own
        raise NotificationError(f"mail: {type(exc).__name__}") from None
