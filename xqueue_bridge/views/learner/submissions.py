"""The learner's pages of the own answers: a table, its CSV file, and each answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from xqueue_bridge.db.batches import by_key
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
from xqueue_bridge.views.tables import csv_response, header, query, read_page

#: Characters of the answer that the page shows.
MAX_ANSWER = 100_000
#: Rows of the CSV file.
MAX_ROWS = 100_000
CSV_HEADER = ("id", "sent", "course", "problem", "stage", "points", "possible", "finished")
#: Column of the table -> the field that it is sorted by.
SORTS = {"sent": "pk", "problem": "usage_key", "status": "status"}
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

    Five statements at most, for any number of answers, and those of SHOW_RESULTS and
    DESCRIBE_PROBLEM.
    """
    user_id, form = current_user_id(request), AnswerFilter(request.GET)
    if not form.is_valid():
        context = {"form": form, "rows": [], "headers": []}
        return render(request, "xqueue_bridge/my_submissions.html", context, status=422)
    page = read_page(form.answers(user_id), request.GET, SORTS)
    answers = shown(user_id, statuses_of(page.rows))
    problems = describe_problems(each.block for each in answers)
    chosen = {name: request.GET[name] for name in form.fields if request.GET.get(name)}
    order = {"sort": page.sort, "order": "desc" if page.descending else "asc"}
    columns = [("sent", _("Sent")), ("problem", _("Problem")), ("status", _("Status"))]
    columns.append(("", _("Finished")))
    context = {
        "form": form,
        "rows": [(each, problems[each.block]) for each in answers],
        "headers": [
            header(sort, str(name), chosen, order, descending=("sent",)) for sort, name in columns
        ],
        "is_filtered": bool(chosen),
        "first": query(chosen, **order) if request.GET.get("after") else "",
        "next": query(chosen, **order, after=page.next) if page.next else "",
        "csv": query(chosen),
    }
    return render(request, "xqueue_bridge/my_submissions.html", context)


@login_required
@require_GET
def my_submissions_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected answers, oldest first, as a CSV file of at most MAX_ROWS rows."""
    user_id, form = current_user_id(request), AnswerFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return csv_response("my", "submissions", _csv_lines(user_id, form.answers(user_id)))


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


def _csv_lines(user_id: int, rows: QuerySet[Submission]) -> Iterator[Sequence[str]]:
    yield CSV_HEADER
    pages = (shown(user_id, statuses_of(batch)) for batch in by_key(rows))
    for answer in islice((each for page in pages for each in page), MAX_ROWS):
        status, points = answer.status, (answer.points, answer.possible)
        yield (
            str(status.submission_id),
            status.sent_at.isoformat(),
            str(status.course_key),
            str(status.usage_key),
            status.stage,
            *("" if value is None else format_points(value) for value in points),
            status.finished_at.isoformat() if status.finished_at else "",
        )
