"""The algorithm of the 2015 client, rebuilt from its description; not its code.

Writing: for each block, get or create the row; if it existed, merge the new fields into the old
ones and save it. A receiver of ``post_save`` adds a history row for each saved problem. Reading: by
chunks of keys, as model instances.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db.models.signals import post_save
from opaque_keys.edx.keys import UsageKey

from benchmarks.models import History2015, Module2015
from xqueue_bridge.learner_state.user_state import XBlockUserState

CHUNK = 500
HISTORY_TYPES = {"problem"}


def get_many(username: str, block_keys: Iterable[UsageKey]) -> Iterator[XBlockUserState]:
    by_course: dict[Any, list[UsageKey]] = {}
    for key in sorted(block_keys, key=lambda key: key.course_key):
        by_course.setdefault(key.course_key, []).append(key)
    for course_key, keys in by_course.items():
        for start in range(0, len(keys), CHUNK):
            rows = Module2015.objects.filter(
                student__username=username,
                course_id=course_key,
                module_state_key__in=keys[start : start + CHUNK],
            )
            for row in rows:
                if row.state is not None and (state := json.loads(row.state)):
                    key = row.module_state_key.map_into_course(row.course_id)
                    yield XBlockUserState(username, key, state, row.modified, "user_state")


def set_many(user: Any, states: Mapping[UsageKey, Mapping[str, Any]]) -> None:
    for key, fields in states.items():
        row, is_new = Module2015.objects.get_or_create(
            student=user,
            course_id=key.course_key,
            module_state_key=key,
            defaults={"state": json.dumps(fields), "module_type": key.block_type},
        )
        if not is_new:
            state = json.loads(row.state) if row.state is not None else {}
            state.update(fields)
            row.state = json.dumps(state)
            row.save(force_update=True)


def _add_history(sender: object, instance: Module2015, **kwargs: Any) -> None:
    if instance.module_type in HISTORY_TYPES:
        History2015(
            student_module=instance,
            version=None,
            created=instance.modified,
            state=instance.state,
            grade=instance.grade,
            max_grade=instance.max_grade,
        ).save()


post_save.connect(_add_history, sender=Module2015, dispatch_uid="benchmarks.history")
