"""A module store in memory, with real problem blocks."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

from xblock.field_data import DictFieldData, ReadOnlyFieldData, SplitFieldData
from xblock.fields import Scope, ScopeIds
from xblock.runtime import MemoryIdManager, Runtime
from xblocks_contrib import ProblemBlock

from demo.runtime import MIXINS
from xmodule.modulestore.exceptions import ItemNotFoundError


class LmsRuntime(Runtime):
    """The runtime of one block; its services are set when a learner is bound."""

    resources_fs = SimpleNamespace(root_path="/nowhere")

    def __init__(self, field_data):
        ids = MemoryIdManager()
        super().__init__(
            id_reader=ids, id_generator=ids, mixins=MIXINS, services={"field-data": field_data}
        )

    def service(self, block, service_name):
        found = super().service(block, service_name)
        return found(block) if callable(found) else found

    def publish(self, block, event_type, event_data):
        """Write the score, as the platform's receiver of SCORE_PUBLISHED does."""
        from lms.djangoapps.courseware.models import StudentModule

        if event_type == "grade":
            StudentModule.objects.update_or_create(
                student_id=block.scope_ids.user_id,
                course_id=block.scope_ids.usage_id.course_key,
                module_state_key=block.scope_ids.usage_id,
                defaults={"grade": event_data["value"], "max_grade": event_data["max_value"]},
            )

    def handler_url(self, block, handler_name, suffix="", query="", thirdparty=False):
        return f"/handler/{handler_name}/{suffix}"

    def resource_url(self, resource):
        return resource

    def local_resource_url(self, block, uri):
        return uri


class ModuleStore:
    """Courses and problems, by key."""

    def __init__(self):
        self.courses, self.problems, self.enrolled = {}, {}, set()

    @contextmanager
    def bulk_operations(self, course_id, emit_signals=True):
        yield

    def get_course(self, course_key, depth=0, **kwargs):
        return self.courses.get(course_key)

    def get_item(self, usage_key, depth=0, **kwargs):
        try:
            olx = self.problems[usage_key]
        except KeyError:
            raise ItemNotFoundError(usage_key) from None
        return Unbound(usage_key, olx)

    def is_enrolled(self, user, course_key):
        return (user.pk, course_key) in self.enrolled


class Unbound:
    """A block that belongs to no learner until ``bind_for_student``."""

    def __init__(self, usage_key, olx):
        self._usage_key, self._olx, self._block = usage_key, olx, None

    def bind_for_student(self, user, student_data, services):
        authored = ReadOnlyFieldData(DictFieldData({"data": self._olx, "rerandomize": "never"}))
        nothing = ReadOnlyFieldData(DictFieldData({}))
        scopes = dict.fromkeys((Scope.settings, Scope.content), authored)
        scopes |= dict.fromkeys((Scope.parent, Scope.children), nothing)
        learners = (
            Scope.user_state,
            Scope.user_state_summary,
            Scope.preferences,
            Scope.user_info,
        )
        runtime = LmsRuntime(SplitFieldData({**scopes, **dict.fromkeys(learners, student_data)}))
        runtime._services.update(services)
        keys = ScopeIds(user.pk, "problem", self._usage_key, self._usage_key)
        self._block = runtime.construct_xblock_from_class(ProblemBlock, keys)

    def __getattr__(self, name):
        return getattr(self._block, name)

    def __setattr__(self, name, value):
        own = name in ("_usage_key", "_olx", "_block")
        object.__setattr__(self if own else self._block, name, value)


_STORE = ModuleStore()


def modulestore():
    return _STORE
