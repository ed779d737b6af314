"""The course team's page of one submission."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from xqueue_bridge.lms import capa
from xqueue_bridge.regrading.api import RegradeItem
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.timeline import events_of
from xqueue_bridge.views.learners import learners_by_id

#: Characters of the answer that the page shows.
MAX_ANSWER = 100_000


@course_staff_required
@require_GET
def submission(request: HttpRequest, course: TeamCourse, submission_id: str) -> HttpResponse:
    """Show one submission of the course: what was sent, and its events on one time line."""
    rows = Submission.objects.select_related("content", "grader")
    found = rows.filter(pk=int(submission_id), course_key=course.course_key).first()
    if found is None:
        raise Http404(_("This course has no such submission."))
    (learner,) = learners_by_id([found.user_id])
    items = RegradeItem.objects.filter(user_id=found.user_id, original_id=found.pk)
    regrades = list(items.select_related("regrade").order_by("pk"))
    body = found.content.body
    text = capa.text_of_submission(body)
    context = {
        "course": course,
        "submission": found,
        "learner": learner,
        "answer": (body if text is None else text)[:MAX_ANSWER],
        "files": found.content.stored_files(),
        "events": events_of(found, regrades),
        "regrades": regrades,
    }
    return render(request, "xqueue_bridge/submission.html", context)
