"""Measure the memory of an iteration over all states of a course, in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.data import block_key, state

#: Target: maximum of MiB above the start, for any number of rows.
LIMIT = 50.0
BLOCKS = 1_000
LEARNERS_IN_A_COPY = 50
PAGE = os.sysconf("SC_PAGESIZE")


def walk_elsewhere(database_name: str, rows: int) -> str:
    """Fill a course, and iterate over its states in a new process."""
    fill(rows)
    environment = {**os.environ, "XQUEUE_BRIDGE_BENCHMARK_DB": database_name}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.iteration_memory"],
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    missed = "   MISSED" if result["mib"] > LIMIT else ""
    return (
        f"walk {result['rows']} rows    {result['seconds']:.1f} s, at most {result['mib']:.1f} MiB "
        f"above the start (target: {LIMIT:.0f}){missed}"
    )


def fill(rows: int) -> None:
    """Create a course with ``rows`` states: one learner's are written, the others are copies."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from xqueue_bridge.learner_state.models import StudentModule
    from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient

    users, course_key = get_user_model(), walked_course()
    blocks = min(rows, BLOCKS)
    users.objects.bulk_create(
        users(username=f"walk-{number}") for number in range(-(-rows // blocks))
    )
    first, *others = users.objects.filter(username__startswith="walk-").order_by("pk")
    DjangoXBlockUserStateClient(first).set_many(
        first.username,
        {course_key.make_usage_key("problem", f"{n:032x}"): state(n) for n in range(blocks)},
    )
    table = StudentModule._meta.db_table
    columns = [f.column for f in StudentModule._meta.concrete_fields if not f.primary_key]
    theirs = ["u.id" if column == "student_id" else f"m.{column}" for column in columns]
    for start in range(0, len(others), LEARNERS_IN_A_COPY):
        ids = [user.pk for user in others[start : start + LEARNERS_IN_A_COPY]]
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(theirs)} "  # noqa: S608
                f"FROM {table} m, {users._meta.db_table} u WHERE m.student_id = %s "
                f"AND m.course_id = %s AND u.id BETWEEN %s AND %s",
                [first.pk, str(course_key), ids[0], ids[-1]],
            )
    with connection.cursor() as cursor:  # A database does this itself, later.
        cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")


def walk() -> dict[str, float]:
    """Iterate over the states; return rows, seconds and the most memory above the start (MiB)."""
    from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient

    client = DjangoXBlockUserStateClient()
    for _ in client.iter_all_for_block(block_key(0)):
        pass  # Connections are open and modules imported now.
    begin, started = resident(), time.perf_counter()
    most, rows = begin, 0
    for rows, _ in enumerate(client.iter_all_for_course(walked_course()), 1):
        if rows % 1000 == 0:
            most = max(most, resident())
    return {
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "mib": (max(most, resident()) - begin) / 2**20,
    }


def walked_course() -> Any:
    from opaque_keys.edx.keys import CourseKey

    return CourseKey.from_string("course-v1:DemoX+Walk+2026")


def resident() -> int:
    """Return the resident memory of this process in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(walk()))
