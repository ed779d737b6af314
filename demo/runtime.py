"""A small XBlock runtime for the real problem block of Open edX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import User
from django.http import Http404
from django.urls import reverse
from lxml import etree
from opaque_keys.edx.keys import CourseKey, UsageKey
from webob import Request
from xblock.core import XBlockMixin
from xblock.exceptions import ProcessingError
from xblock.field_data import DictFieldData, FieldData, ReadOnlyFieldData, SplitFieldData
from xblock.fields import Boolean, Scope, ScopeIds
from xblock.runtime import KvsFieldData, MemoryIdManager, Mixologist, Runtime
from xblocks_contrib import ProblemBlock

from demo.course import OLX, Problem, course
from demo.services import services_for
from xqueue_bridge import api
from xqueue_bridge.api import DjangoKeyValueStore, FieldDataCache, ProblemDescription

Answers = Sequence[str] | Mapping[str, bytes]


@dataclass(frozen=True)
class Submitted:
    """The outcome of a submit: ``ok`` if the answer was sent, else a ``message``."""

    ok: bool
    message: str = ""


class Graded(XBlockMixin):
    """The field that the LMS mixes into every block, inherited from the subsection."""

    graded = Boolean(scope=Scope.settings, default=False)


MIXINS = (Graded,)


def _fill_class_caches() -> None:
    """Fill XBlock's caches of each class before threads use them.

    XBlock stores None while it computes, which another thread would read.
    """
    block_class = Mixologist(MIXINS).mix(ProblemBlock)
    assert block_class.fields
    assert block_class.service_declaration("user") is not None


_fill_class_caches()


class LearnersState:
    """One learner's state at the blocks of a page. ``read_only``: writes are dropped."""

    def __init__(self, course_key: CourseKey, user: User, read_only: bool = False) -> None:
        self._cache = FieldDataCache([], course_key, user, read_only=read_only)
        self.field_data: FieldData = KvsFieldData(DjangoKeyValueStore(self._cache))

    def load_fields(self, block: Any) -> None:
        """Read all fields of a block with one statement for each scope."""
        self._cache.add_blocks_to_cache([block])

    def set_score(self, usage_key: UsageKey, grade: float | None, max_grade: float | None) -> None:
        """Store the points that a block published."""
        if not self._cache.read_only:
            api.set_score(self._cache.user.pk, usage_key.context_key, usage_key, grade, max_grade)


class DemoRuntime(Runtime):
    """One learner's runtime."""

    #: File system from which a problem's script can import modules.
    resources_fs = SimpleNamespace(root_path=str(OLX))

    def __init__(self, user_id: int, state: LearnersState, field_data: FieldData) -> None:
        ids = MemoryIdManager()
        services = {**services_for(user_id), "field-data": field_data}
        super().__init__(id_reader=ids, id_generator=ids, mixins=MIXINS, services=services)
        self._state = state

    def service(self, block: Any, service_name: str) -> Any:
        found = super().service(block, service_name)
        return found(block) if callable(found) else found

    def publish(self, block: Any, event_type: str, event_data: Mapping[str, Any]) -> None:
        if event_type != "grade":
            return  # tracking events, which the demo does not collect
        self._state.set_score(
            block.scope_ids.usage_id, event_data["value"], event_data["max_value"]
        )

    def handler_url(
        self,
        block: Any,
        handler_name: str,
        suffix: str = "",
        query: str = "",
        thirdparty: bool = False,
    ) -> str:
        return f"/problems/{block.scope_ids.usage_id.block_id}/{handler_name}/{suffix}"

    def resource_url(self, resource: str) -> str:
        return f"/static/{resource}"

    def local_resource_url(self, block: Any, uri: str) -> str:
        return self.resource_url(uri)


def load_block(
    user_id: int,
    course_key: CourseKey,
    usage_key: UsageKey,
    *,
    state: LearnersState | None = None,
    problem: Problem | None = None,
) -> Any:
    """Return the problem block of one learner; usable as ``XQUEUE_BRIDGE["BLOCK_LOADER"]``.

    ``state`` has the learner's fields; by default a new one is created. ``problem`` is used
    instead of the one in the demo's course, for tests. Raises Http404 if the
    course has no such problem, ``User.DoesNotExist`` if there is no such learner.
    """
    try:
        problem = problem or course().problem(usage_key)
    except KeyError:
        raise Http404("The course has no such problem.") from None
    state = state or LearnersState(course_key, User.objects.get(pk=user_id))
    runtime = DemoRuntime(user_id, state, _field_data(problem, state.field_data))
    keys = ScopeIds(user_id, usage_key.block_type, usage_key, usage_key)
    block = runtime.construct_xblock_from_class(ProblemBlock, keys)
    state.load_fields(block)
    return block


def describe_problem(course_key: CourseKey, usage_key: UsageKey) -> ProblemDescription:
    """Return what learners' pages show of a problem: ``XQUEUE_BRIDGE["DESCRIBE_PROBLEM"]``."""
    try:
        problem = course().problem(usage_key)
    except KeyError:
        return ProblemDescription(course_name=course().title)
    url = reverse("problem", args=[problem.url_name])
    return ProblemDescription(problem.title, course().title, url, problem.weight)


def _field_data(problem: Problem, learner: FieldData) -> FieldData:
    authored = ReadOnlyFieldData(DictFieldData({**problem.settings, "data": problem.olx}))
    nothing = ReadOnlyFieldData(DictFieldData({}))
    return SplitFieldData(
        {
            Scope.settings: authored,
            Scope.content: authored,
            Scope.user_state: learner,
            Scope.user_state_summary: learner,
            Scope.preferences: learner,
            Scope.user_info: learner,
            Scope.parent: nothing,
            Scope.children: nothing,
        }
    )


def render(block: Any) -> str:
    """Return the problem as HTML, with the learner's answers, marks and feedback.

    The page adds the LMS's frame (title, buttons, JavaScript). The first rendering may choose the
    learner's random seed, so the block is saved, as in the LMS.
    """
    xhtml = block.remove_tags_from_html(block.lcp.get_html())
    xhtml = block.runtime.service(block, "replace_urls").replace_urls(str(xhtml))
    block.save()
    # Capa writes empty elements as in XML; a browser would parse <div/> as an opening tag.
    return etree.tostring(etree.fromstring(xhtml), method="html", encoding="unicode")


def answer_ids(block: Any) -> list[str]:
    """Return capa's ids of the problem's answers, in the order of the page."""
    responses = sorted(block.lcp.responders.values(), key=lambda response: _number(response.id))
    return [answer_id for response in responses for answer_id in response.answer_ids]


def random_seed(block: Any) -> int:
    """Return the random seed of the problem's script and of the grader."""
    return block.lcp.seed


def submit(block: Any, answers: Answers) -> Submitted:
    """Submit the learner's answers to the block's AJAX handler, as a browser does.

    ``answers``: one text for each answer of the problem, or the files (name -> content) of its
    only answer.
    """
    if not answers:
        return Submitted(False, "Choose a file to hand in first.")
    ids = answer_ids(block)
    if isinstance(answers, Mapping):
        fields = [(f"input_{ids[0]}", (name, content)) for name, content in answers.items()]
    else:
        fields = [(f"input_{id_}", text) for id_, text in zip(ids, answers, strict=True)]
    request = Request.blank("/", POST=fields, content_type="multipart/form-data")
    try:
        response = block.runtime.handle(block, "xmodule_handler", request, "problem_check")
    except ProcessingError as exc:
        return Submitted(False, str(exc))
    outcome = json.loads(response.body)["success"]
    if outcome not in ("correct", "incorrect"):
        return Submitted(False, outcome)  # a message to the learner: no attempt was used
    return _sent(block, ids)


def _sent(block: Any, ids: Sequence[str]) -> Submitted:
    """Return whether all answers wait: capa also marks those incorrect that were not sent."""
    marks = block.lcp.correct_map
    problems = [marks.get_msg(id_) for id_ in ids if not marks.is_queued(id_)]
    return Submitted(False, " ".join(problems)) if problems else Submitted(True)


def _number(response_id: str) -> int:
    return int(response_id.rsplit("_", 1)[1])
