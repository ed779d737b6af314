"""A learner with something of each kind at every URL, and the users who must not get it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from tests.course_grades import courses
from tests.course_grades.factories import sweep_later
from tests.grader_replies.factories import make_learner
from tests.regrading.factories import start, submit
from tests.submission_queue.factories import (
    COURSE,
    OTHER_PROBLEM,
    PROBLEM,
    GraderClient,
    make_grader,
    upload,
)
from xqueue_bridge import models
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.course_structure.course import Block, Chapter, Subsection
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.lms.course_staff import group_name
from xqueue_bridge.submission_queue import files

#: In each text of the learner, and in no text of another user or of the course.
MARK = "tigerlily"
OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+CS102+2026")
LOST_PROBLEM = COURSE.make_usage_key("problem", "lost")
HOMEWORK = COURSE.make_usage_key("sequential", "homework")
#: Keeps users logged in who were deactivated; some backends of hosts do.
KEEPS_INACTIVE = "django.contrib.auth.backends.AllowAllUsersModelBackend"
BACKENDS = ["django.contrib.auth.backends.ModelBackend", KEEPS_INACTIVE]
#: What no request of a wrong user changes, besides submissions and replies.
KEPT: tuple[type[Model], ...] = (
    models.GraderSecret,
    models.OperatorAction,
    models.PersistentCourseGrade,
    models.PersistentSubsectionGradeOverride,
    models.PersistentSubsectionGradeOverrideHistory,
    models.Priority,
    models.QueueSettings,
    models.Regrade,
    models.RegradeItem,
    models.StudentModule,
    models.StudentModuleHistory,
)


@dataclass(frozen=True)
class World:
    """The learner, a graded answer, one that waits, a regrade, a stuck answer, and their grader."""

    ada: User
    grader: GraderClient
    grader_id: int
    graded: int
    waiting: int
    regrade: int
    stuck_row: int
    #: The token of a file, as a grader gets it.
    token: str

    def kept(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows that no request of a wrong user changes.

        A callback with a guessed queue key is stored as an unmatched submission.
        """
        rows = {each.__name__: each._default_manager.all() for each in KEPT}
        replies = models.ReceivedReply.objects.exclude(submission__status="unmatched")
        rows |= {"Submission": self._submissions(), "ReceivedReply": replies}
        return {name: list(found.order_by("pk").values_list()) for name, found in rows.items()}

    def _submissions(self) -> Any:
        own = models.Submission.objects.filter(user_id=self.ada.pk)
        return own.exclude(status="unmatched")


def make_world() -> World:
    """Create all of it, with a real grader."""
    _publish()
    ada = User.objects.get(pk=make_learner(MARK))
    User.objects.filter(pk=ada.pk).update(first_name=MARK)
    grader = make_grader("python")
    body = json.dumps({"student_response": MARK})
    graded = submit(ada.pk, body=body, files=(upload(f"{MARK}.py"),))
    _grade(grader)
    lost = submit(ada.pk, usage_key=LOST_PROBLEM)
    models.Submission.objects.filter(pk=lost).delete()
    rows = models.StudentModule.objects.filter(module_state_key=LOST_PROBLEM)
    rows.update(modified=timezone.now() - timedelta(hours=3))
    regrade = start(usage_key=PROBLEM)
    waiting = submit(ada.pk, usage_key=OTHER_PROBLEM, body=body)
    sweep_later()
    grader_id = models.Grader.objects.get().pk
    token = files.make_file_token(graded, 0, 1)
    stuck_row = rows.get().pk
    return World(ada, grader, grader_id, graded, waiting, regrade.pk, stuck_row, token)


def _publish() -> None:
    problems = (Block(each, "problem", max_score=1) for each in (PROBLEM, OTHER_PROBLEM))
    homework = Subsection(
        HOMEWORK, format="Homework", display_name="Homework", graded=True, blocks=tuple(problems)
    )
    chapter = Chapter(COURSE.make_usage_key("chapter", "one"), "One", (homework,))
    course_structure.publish(courses.course(chapters=[chapter], course_key=COURSE))


def _grade(grader: GraderClient) -> None:
    pulled = grader.pull()
    assert pulled is not None
    test = {"name": MARK, "score": 1, "max_score": 1}
    reply = {"correct": True, "score": 1, "msg": f"<p>{MARK}</p>", "tests": [test]}
    envelope = grader.put(pulled.header, json.dumps({**reply, "staff_note": MARK}))
    assert envelope["return_code"] == 0, envelope
    grader_replies.apply_due()


# -- who is wrong everywhere


def anonymous(world: World) -> Client:
    return Client()


def other_learner(world: World) -> Client:
    """Return a learner of the same course, who has answered the same problem."""
    user_id = make_learner("bob")
    submit(user_id)
    return logged_in(User.objects.get(pk=user_id))


def learner_of_another_course(world: World) -> Client:
    user_id = make_learner("carla")
    pk = submit(user_id, usage_key=OTHER_COURSE.make_usage_key("problem", "loops"))
    models.Submission.objects.filter(pk=pk).update(course_key=OTHER_COURSE)
    return logged_in(User.objects.get(pk=user_id))


def staff_of_another_course(world: World) -> Client:
    return logged_in(_member(OTHER_COURSE))


def other_grader(world: World) -> Client:
    """Return a grader that is logged in, and has a grant for another queue."""
    return make_grader("java", name="stranger").http


def deactivated_operator(world: World) -> Client:
    user = User.objects.create(username="gone", is_staff=True, is_superuser=True, is_active=False)
    user.groups.add(Group.objects.get_or_create(name=group_name(COURSE))[0])
    return logged_in(user)


def deactivated_learner(world: World) -> Client:
    client = logged_in(world.ada)
    User.objects.filter(pk=world.ada.pk).update(is_active=False)
    return client


WRONG_EVERYWHERE: tuple[Callable[[World], Client], ...] = (
    anonymous,
    other_learner,
    learner_of_another_course,
    staff_of_another_course,
    other_grader,
    deactivated_operator,
    deactivated_learner,
)


# -- who is right somewhere


def the_learner(world: World) -> Client:
    return logged_in(world.ada)


def course_team(world: World) -> Client:
    return logged_in(_member(COURSE))


def staff(world: World) -> Client:
    return logged_in(User.objects.create(username="staff", is_staff=True))


def operator(world: World) -> Client:
    user = User.objects.create(username="operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="operate_queues"))
    return logged_in(user)


def the_grader(world: World) -> Client:
    return world.grader.http


def _member(course_key: CourseKey) -> User:
    user = User.objects.create(username=f"team-{course_key.course}")
    user.groups.add(Group.objects.get_or_create(name=group_name(course_key))[0])
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=KEEPS_INACTIVE)
    return client
