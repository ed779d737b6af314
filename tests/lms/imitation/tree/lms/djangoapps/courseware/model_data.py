"""The platform's cache of a learner's fields, over StudentModule."""

from __future__ import annotations

import json

from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from tests.lms import platform_signatures
from tests.lms.platform_signatures import takes_parameters_of


def _plain(value):
    """The platform's encoder writes named tuples as objects, at any depth."""
    if hasattr(value, "_asdict"):
        return value._asdict()
    return [_plain(each) for each in value] if isinstance(value, list) else value


class FieldDataCache:
    """The learner's rows at a block."""

    def __init__(self, course_id, user):
        self.course_id, self.user = course_id, user

    @staticmethod
    @takes_parameters_of(platform_signatures.cache_for_block_descendents)
    def cache_for_block_descendents(given):
        return FieldDataCache(given.course_id, given.user)


class DjangoKeyValueStore(KeyValueStore):
    """Fields of Scope.user_state are JSON in StudentModule.state; the others are not stored."""

    def __init__(self, cache):
        self._cache = cache

    def _rows(self, key):
        from lms.djangoapps.courseware.models import StudentModule

        return StudentModule.objects.filter(
            student=self._cache.user,
            course_id=self._cache.course_id,
            module_state_key=key.block_scope_id,
        )

    def _state(self, key):
        row = self._rows(key).first() if key.scope == Scope.user_state else None
        return json.loads(row.state or "{}") if row else {}

    def get(self, key):
        return self._state(key)[key.field_name]

    def has(self, key):
        return key.field_name in self._state(key)

    def set(self, key, value):
        self.set_many({key: value})

    def set_many(self, update_dict):
        from lms.djangoapps.courseware.models import StudentModule

        for key, value in update_dict.items():
            state = {**self._state(key), key.field_name: _plain(value)}
            StudentModule.objects.update_or_create(
                student=self._cache.user,
                course_id=self._cache.course_id,
                module_state_key=key.block_scope_id,
                defaults={"state": json.dumps(state)},
            )

    def delete(self, key):
        raise NotImplementedError
