"""Small XBlocks with fields of every scope, on XBlock's own runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.core import XBlock
from xblock.field_data import DictFieldData, SplitFieldData
from xblock.fields import Dict, Integer, List, Scope, ScopeIds, String
from xblock.runtime import KvsFieldData, MemoryIdManager, Runtime

from xqueue_bridge.learner_state.fields.data_cache import FieldDataCache
from xqueue_bridge.learner_state.fields.key_value_store import DjangoKeyValueStore

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
LEARNERS_SCOPES = (
    Scope.user_state,
    Scope.user_state_summary,
    Scope.preferences,
    Scope.user_info,
)


class Problem(XBlock):
    """Has fields of the scope user_state only."""

    has_score = True
    attempts = Integer(scope=Scope.user_state, default=0)
    answers = List(scope=Scope.user_state)


class Poll(XBlock):
    """Has a field of each scope that a learner can change."""

    choice = String(scope=Scope.user_state)
    counts = Dict(scope=Scope.user_state_summary)
    speed = Integer(scope=Scope.preferences, default=1)
    language = String(scope=Scope.user_info, default="en")


class Page(XBlock):
    """Has children and no field that a learner can change."""

    has_children = True


CLASSES = {"problem": Problem, "poll": Poll, "page": Page}


class SmallRuntime(Runtime):
    """Runtime of one learner on one FieldDataCache."""

    def __init__(self, user: Any, cache: FieldDataCache) -> None:
        learner = KvsFieldData(DjangoKeyValueStore(cache))
        nothing = DictFieldData({})
        field_data = SplitFieldData(
            dict.fromkeys(LEARNERS_SCOPES, learner)
            | dict.fromkeys((Scope.content, Scope.settings), nothing)
        )
        ids = MemoryIdManager()
        super().__init__(id_reader=ids, id_generator=ids, services={"field-data": field_data})

    def handler_url(self, *args: Any, **kwargs: Any) -> str:
        raise NotImplementedError

    resource_url = local_resource_url = publish = handler_url


def usage_key(name: str, course: Any = COURSE) -> UsageKey:
    """Return the usage key for "type-id": ``"problem-sums"`` is the problem with id sums."""
    return course.make_usage_key(name.split("-")[0], name)


def make_block(user: Any, cache: FieldDataCache, name: str, children: Sequence[Any] = ()) -> Any:
    """Return a learner's block, without adding it to the cache."""
    key = usage_key(name)
    cls = CLASSES[key.block_type]
    block = SmallRuntime(user, cache).construct_xblock_from_class(
        cls, ScopeIds(user.pk, key.block_type, key, key)
    )
    if children:
        block.get_children = lambda usage_id_filter=None: list(children)
    return block
