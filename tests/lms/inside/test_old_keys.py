"""A course with deprecated keys: org/course/run and i4x."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from lms.djangoapps.courseware.models import StudentModule
from opaque_keys.edx.locator import CourseLocator
from xmodule.modulestore.django import modulestore

from tests.lms.inside.base import CourseTestCase
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms.loader import load_block
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.models import TransportOverride


class DeprecatedKeysTest(CourseTestCase):
    """The store creates no such course any more, so a block of another course gets the key."""

    def setUp(self) -> None:
        super().setUp()
        new = self.course.id
        self.course_key = CourseLocator(new.org, new.course, new.run, deprecated=True)
        self.usage_key = self.course_key.make_usage_key("problem", "old")
        TransportOverride.objects.create(scope="course", name=str(self.course_key))
        store = type(modulestore())
        get_item, get_course = store.get_item, store.get_course

        def find_item(this: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
            if key != self.usage_key:
                return get_item(this, key, *args, **kwargs)
            block = get_item(this, self.problem.location, *args, **kwargs)
            block.scope_ids = block.scope_ids._replace(usage_id=self.usage_key)
            return block

        def find_course(this: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
            return get_course(this, new if key == self.course_key else key, *args, **kwargs)

        for name, function in (("get_item", find_item), ("get_course", find_course)):
            patched = patch.object(store, name, function)
            patched.start()
            self.addCleanup(patched.stop)

    def test_answer_is_graded(self) -> None:
        """C122: stored, pulled and applied; the block is loaded by the key with its run."""
        block = load_block(self.learner.pk, self.course_key, self.usage_key)
        assert block is not None
        answer_id = f"{self.usage_key.html_id()}_2_1"
        block.handle_ajax("problem_check", {f"input_{answer_id}": "print(42)"})
        block.save()
        [sent] = Submission.objects.all()
        assert str(sent.usage_key).startswith("i4x://")
        assert (sent.target.course_key, sent.target.usage_key) == (self.course_key, self.usage_key)
        self.grade()
        row = StudentModule.objects.get(student_id=self.learner.pk, course_id=self.course_key)
        assert (str(row.module_state_key), row.grade) == (str(self.usage_key), 1)
        assert ReceivedReply.objects.get().status == "applied"
