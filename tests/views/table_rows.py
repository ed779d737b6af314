"""Many rows for each table of the pages of course teams and learners, written in bulk."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from tests.course_grades.courses import COURSE_KEY
from tests.grader_replies.factories import waiting_state
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent

NOW = timezone.now()


def add_learners(number: int) -> list[int]:
    names = [f"learner {n:02}" for n in range(number)]
    User.objects.bulk_create([User(username=name) for name in names])
    return list(User.objects.filter(username__in=names).order_by("pk").values_list("pk", flat=True))


def add_submissions(user_ids: list[int], **changes: Any) -> None:
    """Add a submission of each learner; each sixth is to OTHER_PROBLEM, and waits."""
    SubmissionContent.objects.bulk_create(
        [SubmissionContent(header="{}", body="{}") for _ in user_ids]
    )
    free = SubmissionContent.objects.filter(submission=None).order_by("pk")
    Submission.objects.bulk_create(
        [
            Submission(
                **{
                    "content": content,
                    "queue_name": "python",
                    "user_id": user_id,
                    "course_key": COURSE,
                    "usage_key": PROBLEM if n % 6 else OTHER_PROBLEM,
                    "dispatch": "score_update",
                    "queue_key": f"key {user_id} {n}",
                    "created_at": NOW,
                    "status": "answered" if n % 6 else "waiting",
                    "available_at": None if n % 6 else NOW,
                    "due_at": None if n % 6 else NOW,
                    "finished_at": NOW + timedelta(seconds=n // 2) if n % 6 else None,
                    **changes,
                }
            )
            for n, (content, user_id) in enumerate(zip(free, user_ids, strict=True))
        ]
    )


def add_problems(number: int, user_id: int) -> None:
    """Add submissions to ``number`` problems."""
    add_submissions([user_id] * number)
    rows = list(Submission.objects.filter(user_id=user_id))
    for n, row in enumerate(rows):
        row.usage_key = COURSE.make_usage_key("problem", f"p{n:02}")
    Submission.objects.bulk_update(rows, ["usage_key"])


def add_regrades(number: int, author_id: int) -> None:
    common = {"course_key": COURSE, "scope": "queue", "queue_name": "python"}
    times = {"created_at": NOW, "released_until": NOW}
    Regrade.objects.bulk_create(
        [
            Regrade(
                **common,
                **times,
                status="finished" if n % 2 else "cancelled",
                author_id=author_id if n % 3 else None,
            )
            for n in range(number)
        ]
    )


def add_items(user_ids: list[int]) -> Regrade:
    """Add a regrade with an item of each learner; a third has no points."""
    add_regrades(1, user_ids[0])
    regrade = Regrade.objects.latest("pk")
    RegradeItem.objects.bulk_create(
        [
            RegradeItem(
                regrade=regrade,
                original_id=n + 1,
                user_id=user_id,
                usage_key=PROBLEM,
                queue_name="python",
                answer_id="loops_2_1",
                status="down" if n % 3 else "failed",
                points_before=n / 7 if n % 3 else None,
                points_after=n % 5 if n % 3 else None,
                changed_at=NOW,
            )
            for n, user_id in enumerate(user_ids)
        ]
    )
    return regrade


def add_stuck(user_ids: list[int]) -> None:
    """Add a state of each learner that waits for a submission which is not stored."""
    old = timezone.now() - timedelta(hours=2)
    StudentModule.objects.bulk_create(
        [
            StudentModule(
                student_id=user_id,
                course_id=COURSE,
                module_state_key=PROBLEM,
                module_type="problem",
                state=json.dumps(waiting_state(loops_2_1=f"lost {user_id}")),
                created=old,
                modified=old,
            )
            for user_id in user_ids
        ]
    )


def add_grades(user_ids: list[int]) -> None:
    common = {"created": NOW, "modified": NOW, "computed_at": NOW, "grading_policy_hash": ""}
    PersistentCourseGrade.objects.bulk_create(
        [
            PersistentCourseGrade(
                user_id=user_id,
                course_id=COURSE_KEY,
                percent_grade=n / 100,
                exact_percent=n / 100,
                passed=n >= 50,
                **common,
            )
            for n, user_id in enumerate(user_ids)
        ]
    )
