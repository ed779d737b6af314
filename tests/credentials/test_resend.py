"""Grades are sent again when an operator asks for it, with xqueue_bridge_resend_grades."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone

from tests.commands import output_of
from tests.credentials.factories import COURSE, OTHER_COURSE, make_learner, row_of, store_grade
from tests.credentials.factories import enqueue as enqueue_grade
from tests.doubles.credentials import Fault
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.credentials import api, outbox, resend
from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.management.commands.xqueue_bridge_resend_grades import Command
from xqueue_bridge.operations.api import OperatorAction

pytestmark = pytest.mark.django_db


def run(*args: str) -> list[str]:
    return output_of("xqueue_bridge_resend_grades", *args).splitlines()


@pytest.fixture
def learners(credentials) -> list[int]:
    """Return three learners: grade sent, refused, never enqueued. The double has no posts yet."""
    sent, refused, unknown = (make_learner(name) for name in ("sent", "refused", "unknown"))
    for learner in (sent, refused):
        store_grade(learner)
        enqueue_grade(learner)
        credentials.faults = [Fault(400)] if learner == refused else []
        api.send_due()
    store_grade(unknown)
    store_grade(sent, course_key=OTHER_COURSE, modified=timezone.now() - timedelta(days=9))
    credentials.posts.clear()
    return [sent, refused, unknown]


def sent_by(service_double) -> list[str]:
    while api.send_due():
        pass
    return sorted(post.message["username"] for post in service_double.posts)


def test_course_option_resends_all_grades_of_the_course(credentials, learners):
    """SG80: grades are sent again, whether they were sent, refused or never enqueued."""
    assert run("--course", str(COURSE)) == ["3 grades will be sent again."]
    assert sent_by(credentials) == ["refused", "sent", "unknown"]
    assert set(GradeOutbox.objects.values_list("status", "last_error")) == {("sent", "")}


def test_failed_option_resends_only_failed_grades(credentials, learners):
    """SG80: a failed grade can be sent again."""
    assert run("--failed") == ["1 grades will be sent again."]
    assert (row_of(learners[1]).status, row_of(learners[1]).attempts) == ("pending", 0)
    assert sent_by(credentials) == ["refused"]
    assert run("--failed") == ["0 grades will be sent again."]


def test_since_option_resends_grades_from_a_time_on(credentials, learners):
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert run("--since", yesterday) == ["3 grades will be sent again."]
    assert run("--since", "2020-02-29") == ["4 grades will be sent again."]
    tomorrow = (timezone.now() + timedelta(days=1)).date().isoformat()
    assert run("--since", tomorrow) == ["0 grades will be sent again."]


def test_combined_options_resend_only_the_intersection(credentials, learners):
    """Different options leave fewer grades; several courses add up."""
    assert run("--failed", "--course", str(OTHER_COURSE)) == ["0 grades will be sent again."]
    tomorrow = (timezone.now() + timedelta(days=1)).date().isoformat()
    assert run("--failed", "--since", tomorrow) == ["0 grades will be sent again."]
    # The last one, because the grade has not failed any more after it.
    assert run("--failed", "--since", "2020-01-01T00:00:00") == ["1 grades will be sent again."]
    both = run("--course", str(COURSE), "--course", str(OTHER_COURSE))
    assert both == ["4 grades will be sent again."]


def test_dry_run_lists_grades_and_sends_none(credentials, learners):
    assert run("--failed", "--dry-run") == [
        f"{COURSE}  user {learners[1]}",
        "1 grades would be sent again.",
    ]
    assert row_of(learners[1]).status == "failed"
    assert sent_by(credentials) == []


def test_grades_that_the_filter_excludes_are_not_sent(credentials, learners, settings):
    """SG83: the command does not send grades that the filter excludes."""
    rule = {"GRADE_FILTER": "tests.credentials.test_resend.exclude_all"}
    settings.XQUEUE_BRIDGE = {"CREDENTIALS": {**credentials.settings, **rule}}
    assert run("--course", str(COURSE)) == ["0 grades will be sent again."]


def exclude_all(user_id: int, course_key: object) -> bool:
    return False


def test_row_that_is_being_sent_does_not_change(credentials, learners):
    GradeOutbox.objects.filter(user_id=learners[0]).update(
        status="sending", next_attempt_at=timezone.now() + timedelta(minutes=1)
    )
    run("--course", str(COURSE))
    assert row_of(learners[0]).status == "sending"


def test_deleted_grade_is_not_sent(credentials, learners):
    PersistentCourseGrade.objects.all().delete()
    assert run("--failed") == ["0 grades will be sent again."]


def test_grade_of_a_learner_who_is_retired_meanwhile_stops_no_other_one(
    credentials, learners, monkeypatch
):
    find_all, retired = outbox.find_all, learners[0]
    monkeypatch.setattr(
        outbox,
        "find_all",
        lambda grades: {key: row for key, row in find_all(grades).items() if key[0] != retired},
    )
    assert len(list(api.resend(course_keys=(COURSE,)))) == 3
    assert sent_by(credentials) == ["refused", "unknown"]


def test_three_grades_in_batches_of_two_are_all_sent(credentials, learners, monkeypatch):
    monkeypatch.setattr(resend, "BATCH", 2)
    assert len(list(api.resend(course_keys=(COURSE,)))) == 3
    assert sent_by(credentials) == ["refused", "sent", "unknown"]


def test_failed_grades_in_batches_of_one_are_all_found(credentials, learners, monkeypatch):
    GradeOutbox.objects.update(status="failed")
    monkeypatch.setattr(resend, "BATCH", 1)
    grades = list(api.resend(only_failed=True))
    assert [grade.user_id for grade in grades] == learners[:2]


def test_resend_of_20_grades_takes_four_statements(credentials, django_assert_num_queries):
    for number in range(20):
        store_grade(make_learner(f"learner {number}"))
    with django_assert_num_queries(4):
        assert len(list(api.resend(course_keys=(COURSE,)))) == 20


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([], "At least one of"),
        (["--since", "yesterday"], "--since: 'yesterday'"),
        (["--since", "2026-13-01"], "--since: '2026-13-01'"),
        (["--since", "0001-01-01T00:00+14:00"], "--since: '0001-"),
        (["--course", "CS101"], "--course: 'CS101'"),
    ],
)
def test_invalid_option_is_a_command_error(credentials, args, text):
    with pytest.raises(CommandError, match=text):
        run(*args)


@pytest.mark.parametrize("args", [["--since", "yesterday"], ["--course", "CS101"]])
def test_invalid_option_ends_without_a_traceback(capsys, args):
    """Django does not catch exceptions of an argument's parser."""
    command = Command()
    command._called_from_command_line = True
    with pytest.raises(SystemExit):
        command.create_parser("manage.py", "xqueue_bridge_resend_grades").parse_args(args)
    assert f"{args[0]}: '{args[1]}' is " in capsys.readouterr().err


def test_command_without_the_setting_is_an_error(settings):
    settings.XQUEUE_BRIDGE = {}
    store_grade(make_learner())
    assert list(api.resend()) == []
    with pytest.raises(CommandError, match="CREDENTIALS"):
        run("--failed")


def test_run_is_on_record_and_a_dry_run_is_not(credentials, learners):
    run("--course", str(COURSE), "--dry-run")
    assert not OperatorAction.objects.exists()
    run("--course", str(COURSE))
    action = OperatorAction.objects.get()
    assert (action.kind, action.changed, action.parameters["course"]) == ("resend", 3, str(COURSE))
