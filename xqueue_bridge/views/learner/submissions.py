"""The learner's pages of the own answers: a table, its CSV file, and each answer."""

from __future__ import annotations

from functools import partial

from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from xqueue_bridge.data import ProblemDescription
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms import capa
from xqueue_bridge.submission_queue.api import answers_of, statuses_of
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.decorators import current_user_id, login_required
from xqueue_bridge.views.form_fields import MAX_TEXT, CourseKeyField, UsageKeyField
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.learner.answers import ShownAnswer, shown
from xqueue_bridge.views.learner.problems import describe_problems
from xqueue_bridge.views.tables import Column, table_context, table_csv

#: Characters of the answer that the page shows.
MAX_ANSWER = 100_000
SENT = Column("sent", _("Sent"), lambda row: row.status.sent_at, "pk", is_descending=True)
PROBLEM = Column("problem", _("Problem"), lambda row: row.status.usage_key, "usage_key")
FINISHED = Column(
    "finished", _("Finished"), lambda row: row.status.finished_at, "finished_at", is_descending=True
)
COLUMNS = (
    SENT,
    PROBLEM,
    Column("status", _("Status"), lambda row: row.headline, "status"),
    FINISHED,
)
CSV_COLUMNS = (
    Column("id", "", lambda row: row.status.submission_id),
    SENT,
    Column("course", "", lambda row: row.status.course_key),
    PROBLEM,
    Column("stage", "", lambda row: row.status.stage),
    Column("points", "", lambda row: _points(row.points)),
    Column("possible", "", lambda row: _points(row.possible)),
    FINISHED,
)
#: What a learner may look for -> the statuses of submissions.
CHOICES = {
    "open": (Status.WAITING, Status.LEASED),
    "graded": (Status.ANSWERED,),
    "failed": (Status.FAILED,),
    "ended": (Status.SUPERSEDED,),
}


class AnswerFilter(forms.Form):
    """The search form; every field may be empty."""

    course = CourseKeyField(label=_("Course"), required=False, max_length=MAX_TEXT)
    problem = UsageKeyField(label=_("Problem"), required=False, max_length=MAX_TEXT)
    status = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[
            ("", _("all")),
            ("open", _("Waiting or being graded")),
            ("graded", _("Graded")),
            ("failed", _("Not graded")),
            ("ended", _("Not graded any more")),
        ],
    )

    def answers(self, user_id: int) -> QuerySet[Submission]:
        """Return the learner's answers that the valid form selects."""
        values, rows = self.cleaned_data, answers_of(user_id)
        if values["course"]:
            rows = rows.filter(course_key=values["course"])
        if values["problem"]:
            rows = rows.filter(usage_key=values["problem"])
        if values["status"]:
            rows = rows.filter(status__in=CHOICES[values["status"]])
        return rows


@login_required
@require_GET
def my_submissions(request: HttpRequest) -> HttpResponse:
    """Show a page of the signed-in learner's answers: ``?course=&problem=&status=``.

    Six statements at most, for any number of answers, and those of SHOW_RESULTS and
    DESCRIBE_PROBLEM.
    """
    user_id, form = current_user_id(request), AnswerFilter(request.GET)
    if not form.is_valid():
        return render(request, "xqueue_bridge/my_submissions.html", {"form": form}, status=422)
    complete = partial(_with_problems, user_id)
    context = table_context(request, form, form.answers(user_id), COLUMNS, complete)
    return render(request, "xqueue_bridge/my_submissions.html", context)


@login_required
@require_GET
def my_submissions_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected answers as a CSV file."""
    user_id, form = current_user_id(request), AnswerFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    complete = partial(_shown, user_id)
    return table_csv("my", "submissions", form.answers(user_id), CSV_COLUMNS, complete)


@login_required
@require_GET
def my_submission(request: HttpRequest, submission_id: str) -> HttpResponse:
    """Show one of the learner's own answers, its feedback and its visible tests; else 404.

    Seven statements at most, and those of SHOW_RESULTS and DESCRIBE_PROBLEM.
    """
    user_id = current_user_id(request)
    found = answers_of(user_id).filter(pk=int(submission_id)).first()
    if found is None:
        raise Http404(gettext("You have sent no such answer."))
    [answer], sent = shown(user_id, statuses_of([found])), _content_of(found)
    context = {
        "answer": answer,
        "problem": describe_problems([answer.block])[answer.block],
        # Only the text: the body also has what the author sends to the grader.
        "text": (capa.text_of_submission(sent.body) or "")[:MAX_ANSWER],
        "files": sent.stored_files(),
        "feedback": _feedback(answer),
    }
    return render(request, "xqueue_bridge/my_submission.html", context)


def _content_of(submission: Submission) -> SubmissionContent:
    return SubmissionContent.objects.get(pk=submission.content_id)


def _feedback(answer: ShownAnswer) -> str:
    """Return sanitised HTML, with the table of the visible tests; "" if it may not be seen."""
    if not answer.shows_result:
        return ""  # a failure reply is among the lines, in the learner's language
    replies = ReceivedReply.objects.filter(pk=answer.status.reply_id)
    return replies.values_list("message", flat=True).first() or ""


def _shown(user_id: int, found: list[Submission]) -> list[ShownAnswer]:
    return shown(user_id, statuses_of(found))


def _with_problems(
    user_id: int, found: list[Submission]
) -> list[tuple[ShownAnswer, ProblemDescription]]:
    answers = _shown(user_id, found)
    problems = describe_problems(each.block for each in answers)
    return [(each, problems[each.block]) for each in answers]


def _points(value: float | None) -> str:
    return "" if value is None else format_points(value)
