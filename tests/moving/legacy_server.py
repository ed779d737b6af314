"""A legacy XQueue server: its table, and what its views do with a row, step by step."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.moving.legacy_table import LegacyRow
from xqueue_bridge.protocol.headers import make_xheader

#: The server's database; tests that use it name it.
ALIAS = "history"
HOST = "http://lms.example.com"
HOUR = timedelta(hours=1)
#: Vendor -> its types: primary key, boolean, time, text.
_TYPES = {
    "sqlite": ("integer PRIMARY KEY AUTOINCREMENT", "bool", "datetime", "text"),
    "postgresql": ("serial PRIMARY KEY", "boolean", "timestamp with time zone", "text"),
    "mysql": ("integer AUTO_INCREMENT PRIMARY KEY", "bool", "datetime(6)", "longtext"),
}
_DDL = """
CREATE TABLE queue_submission (
    id {key},
    requester_id varchar(128) NOT NULL DEFAULT '127.0.0.1',
    lms_callback_url varchar(128) NOT NULL,
    queue_name varchar(128) NOT NULL,
    xqueue_header varchar(1024) NOT NULL,
    xqueue_body {text} NOT NULL,
    s3_keys varchar(1024) NOT NULL,
    s3_urls varchar(1024) NOT NULL,
    arrival_time {time} NOT NULL,
    pull_time {time} NULL,
    push_time {time} NULL,
    return_time {time} NULL,
    grader_id varchar(128) NOT NULL DEFAULT '',
    pullkey varchar(128) NOT NULL,
    grader_reply {text} NOT NULL,
    num_failures integer NOT NULL DEFAULT 0,
    lms_ack {bool} NOT NULL,
    retired {bool} NOT NULL
)
"""


def create_table() -> None:
    """Create the table as openedx/xqueue's migrations leave it, without its indexes."""
    connection = connections[ALIAS]
    key, boolean, time, text = _TYPES[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS queue_submission")
        cursor.execute(_DDL.format(key=key, bool=boolean, time=time, text=text))


def drop_table() -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("DROP TABLE queue_submission")


def rows() -> QuerySet[LegacyRow]:
    return LegacyRow._default_manager.using(ALIAS)


def make_row(
    user_id: int = 7,
    *,
    age: timedelta = HOUR,
    queue_name: str = "python",
    dispatch: str = "score_update",
    **values: Any,
) -> int:
    """Insert a row as the view ``submit`` does; return its id."""
    url = HOST + build_path(COURSE, user_id, PROBLEM, dispatch)
    defaults = {
        "lms_callback_url": url[:128],
        "queue_name": queue_name,
        "xqueue_header": make_xheader(url, f"key-{user_id}", queue_name),
        "xqueue_body": json.dumps({"student_response": f"print({user_id})"}),
        "s3_keys": "{}",
        "s3_urls": "{}",
        "arrival_time": timezone.now() - age,
        "lms_ack": False,
        "retired": False,
    }
    return rows().create(**{**defaults, **values}).pk


@dataclass
class LegacyGrader:
    """A grader of the server, with the server's own steps."""

    #: Ids of rows whose result the LMS has acknowledged.
    answered: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def read_oldest(self) -> LegacyRow | None:
        return rows().filter(retired=False, pull_time=None).order_by("arrival_time", "pk").first()

    def save_pulled(self, read: LegacyRow) -> str:
        """Save all columns, without a lock, as the view ``get_submission`` does."""
        read.pull_time = timezone.now()
        read.pullkey = f"{read.pk}-{read.pull_time:%f}"
        read.save(using=ALIAS, force_update=True)
        return read.pullkey

    def put_result(self, pk: int, pullkey: str, reply: str = GOOD_REPLY) -> str:
        """Post the result to the LMS while the row is locked, as the view ``put_result`` does."""
        with transaction.atomic(using=ALIAS):
            held = rows().select_for_update().get(pk=pk)
            if not held.pullkey or held.pullkey != pullkey:
                return "Incorrect key for submission"
            status = in_another_process(self._post, held.xqueue_header, reply)
            held.grader_reply, held.return_time = reply, timezone.now()
            held.lms_ack = held.retired = status == 200
            held.save(using=ALIAS, force_update=True)
        (self.answered if held.lms_ack else self.refused).append(pk)
        return ""

    def _post(self, header: str, reply: str) -> int:
        path = json.loads(header)["lms_callback_url"].removeprefix(HOST)
        form = {"xqueue_header": header, "xqueue_body": reply}
        return Client().post(path, form).status_code


def in_another_process(work: Callable[..., int], *arguments: str) -> int:
    """Run the LMS's part in a thread: it has its own connections, as the LMS's process has."""

    def run() -> int:
        try:
            return work(*arguments)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(60)
