"""The course team's pages: submissions, one submission, regrades; and who may not see them."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from tests.grader_replies.factories import make_learner
from tests.regrading.factories import grade, grade_all_again, graded, start, submit
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM, make_grader
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.regrading.models import Regrade
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.views import tables
from xqueue_bridge.views.course_team import statistics
from xqueue_bridge.views.course_team.submissions import COLUMNS

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]

ROOT = f"/xqueue/courses/{COURSE}"
PROBLEMS = f"{ROOT}/problems/"
LIST, CSV, REGRADES = f"{ROOT}/submissions/", f"{ROOT}/submissions.csv", f"{ROOT}/regrades/"
NEW = f"{REGRADES}new/"
SECRET = "tigerlily"


def one_submission() -> int:
    _, pk = graded("ada")
    body = json.dumps({"student_response": SECRET})
    SubmissionContent.objects.filter(submission=pk).update(body=body)
    return pk


def all_paths(pk: int) -> list[str]:
    job = Regrade.objects.first() or start()
    paths = [LIST, CSV, f"{LIST}{pk}/", REGRADES, NEW, f"{REGRADES}{job.pk}/"]
    paths += [PROBLEMS, f"{PROBLEMS}{PROBLEM}/", f"{ROOT}/problems.csv", f"{ROOT}/regrades.csv"]
    return [*paths, f"{REGRADES}{job.pk}.csv", f"{REGRADES}{job.pk}/?partial=table"]


def text_of(response) -> str:
    return (b"".join(response) if response.streaming else response.content).decode()


# -- access


def test_each_page_refuses_staff_of_another_course_learners_and_inactive_staff(client, tea):
    pk = one_submission()
    other = User.objects.create(username="other")
    other.groups.add(Group.objects.create(name="course-staff:course-v1:DemoX+CS102+2026"))
    gone = User.objects.create(username="gone", is_staff=True, is_active=False)
    learner = User.objects.get(username="ada")
    for user in (other, learner, gone):
        client.force_login(user)
        for path in all_paths(pk):
            for method in (client.get, client.post):
                response = method(path)
                assert response.status_code in (302, 403, 405), path
                page = text_of(response)
                assert SECRET not in page
                assert "ada" not in page
    assert Regrade.objects.get().status == "running"


def test_anonymous_users_and_graders_are_sent_to_the_login(client, tea):
    pk = one_submission()
    grader = make_grader()
    for http in (client, grader.http):
        for path in all_paths(pk):
            response = http.get(path)
            assert response.status_code == 302, path
            assert response.content == b""


def test_team_sees_no_submission_or_regrade_of_another_course(team):
    pk = one_submission()
    job = start()
    Submission.objects.filter(pk=pk).update(course_key="course-v1:DemoX+CS102+2026")
    Regrade.objects.update(course_key="course-v1:DemoX+CS102+2026")
    assert "ada" not in text_of(team.get(LIST))
    assert "ada" not in text_of(team.get(CSV))
    for path in (f"{LIST}{pk}/", f"{REGRADES}{job.pk}/", f"{REGRADES}{job.pk}.csv"):
        assert team.get(path).status_code == 404
    assert team.post(f"{REGRADES}{job.pk}/", {"action": "cancel"}).status_code == 404
    assert Regrade.objects.get().status == "running"


@pytest.mark.parametrize("course_id", ["a+b+c", "x" * 300 + "+b+c", "course-v1:a+b+c%00"])
def test_unknown_course_is_refused(team, course_id):
    assert team.get(f"/xqueue/courses/{course_id}/submissions/").status_code in (403, 404)


def test_host_decides_by_a_callable(team, settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STAFF_CHECK": f"{__name__}.no_user"}
    assert team.get(LIST).status_code == 403


def no_user(user, course_key) -> bool:
    return False


def test_post_needs_a_csrf_token(tea):
    one_submission()
    http = Client(enforce_csrf_checks=True)
    http.force_login(tea)
    assert http.post(NEW, {"scope": "queue", "queue": "python"}).status_code == 403


# -- submissions


def ids(response) -> list[int]:
    return [row.submission.pk for row in response.context["rows"]]


def test_list_is_filtered_and_sorted(team):
    _, first = graded("ada")
    _, second = graded("bob", usage_key=OTHER_PROBLEM)
    waiting = submit(make_learner("cyd"))
    assert ids(team.get(LIST)) == [waiting, second, first]
    assert ids(team.get(LIST, {"sort": "sent", "order": "asc"})) == [first, second, waiting]
    assert ids(team.get(LIST, {"sort": "status"})) == [first, second, waiting]
    assert ids(team.get(LIST, {"learner": "bob"})) == [second]
    assert ids(team.get(LIST, {"learner": str(User.objects.get(username="ada").pk)})) == [first]
    assert ids(team.get(LIST, {"problem": str(OTHER_PROBLEM)})) == [second]
    assert ids(team.get(LIST, {"status": "waiting"})) == [waiting]
    assert ids(team.get(LIST, {"queue": "none"})) == []
    assert ids(team.get(LIST, {"since": "2999-01-01"})) == []
    assert ids(team.get(LIST, {"until": "2999-01-01"})) == [waiting, second, first]
    assert ids(team.get(LIST, {"sort": "nonsense", "after": "x"})) == [waiting, second, first]


@pytest.mark.parametrize("field", ["problem", "status", "since"])
def test_invalid_filter_is_an_error_at_its_field(team, field):
    response = team.get(LIST, {field: "nonsense"})
    assert response.status_code == 422
    assert 'role="alert"' in text_of(response)
    assert team.get(CSV, {field: "nonsense"}).status_code == 422


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Pacific/Honolulu"])
@pytest.mark.parametrize("path", [LIST, REGRADES])
def test_days_at_the_ends_of_the_calendar(team, path, zone):
    """In no time zone a day is a server error."""
    with timezone.override(zone):
        for since in ("0001-01-01", "9999-12-31"):
            assert team.get(path, {"since": since}).status_code == 422
            assert team.post(NEW, {"scope": "failed", "since": since}).status_code == 422
        assert team.get(path, {"since": "0001-01-02", "until": "9999-12-30"}).status_code == 200


@pytest.mark.parametrize("sort", [each.name for each in COLUMNS if each.field])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_contain_each_row_once(team, monkeypatch, sort, order):
    monkeypatch.setattr(tables, "PAGE_SIZE", 2)
    for n in range(5):
        graded(f"learner {n}")
    query, seen = f"?sort={sort}&order={order}", []
    while query:
        response = team.get(LIST + query)
        seen += ids(response)
        query = response.context["next"]
    assert len(seen) == 5
    assert set(seen) == set(Submission.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("number", [1, 20])
def test_list_takes_six_statements_for_any_number(team, django_assert_num_queries, number):
    """Session, user, group; rows, names, points."""
    for n in range(number):
        graded(f"learner {n}")
    with django_assert_num_queries(6):
        team.get(LIST)


def test_csv_has_the_selected_rows_and_no_formula(team):
    User.objects.create_user("=1+1")
    user = User.objects.get(username="=1+1")
    pk = submit(user.pk)
    grade(pk, 1)
    graded("bob", usage_key=OTHER_PROBLEM)
    response = team.get(CSV, {"problem": str(PROBLEM)})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    head, *lines = csv.reader(io.StringIO(text_of(response).removeprefix("\ufeff")))
    (line,) = [dict(zip(head, each, strict=True)) for each in lines]
    assert (line["id"], line["username"], line["points"]) == (str(pk), "'=1+1", "1")


def test_course_without_submissions_says_so(team):
    assert "has no submissions" in text_of(team.get(LIST))
    assert "No submission matches" in text_of(team.get(LIST, {"queue": "x"}))


# -- one submission


def test_time_line_has_each_event_in_order(team):
    pk = one_submission()
    response = team.get(f"{LIST}{pk}/")
    page = text_of(response)
    assert SECRET in page
    titles = [event.title for event in response.context["events"]]
    assert titles[0] == "Sent"
    assert {"Reply", "Applied", "Learner's state: a grader replied"} <= set(titles)
    times = [event.at for event in response.context["events"]]
    assert times == sorted(times)
    assert "<p>old</p>" in page


def test_answer_with_markup_is_escaped(team):
    pk = one_submission()
    body = json.dumps({"student_response": "<script>alert(1)</script>"})
    SubmissionContent.objects.update(body=body)
    page = text_of(team.get(f"{LIST}{pk}/"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("body", ["not json", "[1]", "", '{"student_response": ["a"]}'])
def test_any_body_can_be_shown(team, body):
    pk = one_submission()
    SubmissionContent.objects.update(body=body)
    assert team.get(f"{LIST}{pk}/").status_code == 200


def test_time_line_has_what_only_staff_see_of_a_reply(team):
    """The note, hidden tests and codes; their markup is escaped."""
    pk = one_submission()
    tests = [
        {"name": "shown", "score": 1, "max_score": 2, "message": "", "visible": True},
        {"name": "<b>edge</b>", "score": 0, "max_score": 2, "message": "5 != 6", "visible": False},
    ]
    codes = [{"code": "score_converted", "field": "score", "data": {}}]
    note = "<script>note</script>"
    ReceivedReply.objects.filter(submission=pk).update(tests=tests, staff_note=note, codes=codes)
    page = text_of(team.get(f"{LIST}{pk}/"))
    assert "&lt;script&gt;note" in page
    assert "&lt;b&gt;edge&lt;/b&gt;" in page
    assert "5 != 6" in page
    assert "score_converted" in page


def test_time_line_has_lease_and_grader(team):
    pk = submit(make_learner())
    make_grader().pull()
    row = Submission.objects.get()
    events = team.get(f"{LIST}{pk}/").context["events"]
    assert [each.at for each in events if each.detail == "watcher"] == [
        row.leased_at,
        row.available_at,
    ]


def test_time_line_has_regrades_with_points(team):
    pk = one_submission()
    job = start()
    grade_all_again(0)
    events = {each.title: each for each in team.get(f"{LIST}{pk}/").context["events"]}
    assert events[f"Regrade {job.pk} was started"].at == job.created_at
    assert events[f"Regrade {job.pk}"].detail == "fewer points: 1 → 0"


# -- regrades


def form(**changes) -> dict:
    values = {"scope": "queue", "queue": "python", "keep_feedback": "on", "per_minute": "600"}
    return {**values, "action": "preview", **changes}


def test_preview_changes_nothing_and_names_whose_grade_could_fall(team):
    graded("ada", 1)
    page = text_of(team.post(NEW, form()))
    assert "1 submission is graded again." in page
    assert "The points of 1 learner could fall." in page
    assert "<bdi>ada</bdi>" in page
    assert "is not known" in page
    assert not Regrade.objects.exists()
    assert "<bdi>ada</bdi>" not in text_of(team.post(NEW, form(only_if_higher="on")))


def test_regrade_is_started_paused_resumed_and_reported(team, tea):
    graded("ada", 1)
    response = team.post(NEW, form(action="start"), follow=True)
    job = Regrade.objects.get()
    path = f"{REGRADES}{job.pk}/"
    assert response.redirect_chain == [(path, 302)]
    assert job.author_id == tea.pk
    assert "Tea Cher" in text_of(response)
    team.post(path, {"action": "pause"})
    assert "Resume" in text_of(team.get(path))
    team.post(path, {"action": "resume"})
    grade_all_again(0)
    page = text_of(team.get(path))
    assert "1 of 1" in page
    assert "fewer points" in page
    assert "Pause" not in page
    assert "1 of 1" in text_of(team.get(REGRADES))
    assert "<html" not in text_of(team.get(path, {"partial": "table"}))
    head, line = csv.reader(io.StringIO(text_of(team.get(f"{REGRADES}{job.pk}.csv"))))
    found = dict(zip(head, line, strict=True))
    assert (found["status"], found["before"], found["after"]) == ("down", "1", "0")


def test_cancel_ends_a_regrade(team):
    graded("ada", 1)
    job = start()
    team.post(f"{REGRADES}{job.pk}/", {"action": "cancel"})
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert team.post(f"{REGRADES}{job.pk}/", {"action": "x"}).status_code == 422


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scope": "problem"}, "problem"),
        ({"scope": "problem", "problem": "there"}, "problem"),
        ({"scope": "submission"}, "submission"),
        ({"queue": ""}, "queue"),
        ({"per_minute": "0"}, "per_minute"),
        ({"since": "then"}, "since"),
        ({"scope": "failed", "action": "start"}, "scope"),
    ],
)
def test_invalid_form_is_an_error_at_its_field(team, changes, field):
    graded("ada", 1)
    response = team.post(NEW, form(**changes))
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert not Regrade.objects.exists()


def test_empty_course_has_no_regrades(team):
    assert "No regrade was started" in text_of(team.get(REGRADES))


def test_installation_that_cannot_regrade_says_so(team, settings):
    graded("ada", 1)
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "callback", "COURSE_STRUCTURE_BACKEND": None}
    assert "Regrade there." in text_of(team.get(NEW))
    assert team.post(NEW, form(action="start")).status_code == 422


def test_list_of_regrades_has_pages_and_a_csv_file(team, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_SIZE", 2)
    graded("ada", 1)
    jobs = []
    for _ in range(3):
        jobs.append(start().pk)
        team.post(f"{REGRADES}{jobs[-1]}/", {"action": "cancel"})
    query, seen = "", []
    while query is not None:
        response = team.get(REGRADES + query)
        seen += [row.regrade.pk for row in response.context["rows"]]
        query = response.context["next"] or None
    assert seen == jobs[::-1]
    head, *lines = csv.reader(io.StringIO(text_of(team.get(f"{ROOT}/regrades.csv"))[1:]))
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [int(row["regrade"]) for row in rows] == jobs
    assert (rows[0]["status"], rows[0]["total"], rows[0]["cancelled"]) == ("cancelled", "1", "1")


def test_items_of_a_regrade_are_filtered_and_have_pages(team, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_SIZE", 2)
    users = [graded(f"learner {n}", n % 2)[0] for n in range(5)]
    job = start()
    grade_all_again(0)
    query, seen = "", []
    while query is not None:
        response = team.get(f"{REGRADES}{job.pk}/{query}")
        seen += [item.user_id for item, _learner in response.context["rows"]]
        query = response.context["next"] or None
    assert seen == users
    lower = team.get(f"{REGRADES}{job.pk}/", {"status": "down"})
    assert [item.user_id for item, _ in lower.context["rows"]] == [users[1], users[3]]
    assert "?status=down&amp;sort=submission&amp;order=asc&amp;partial=table" in text_of(lower)
    one = team.get(f"{REGRADES}{job.pk}/", {"learner": "learner 2"})
    assert [item.user_id for item, _ in one.context["rows"]] == [users[2]]
    assert team.get(f"{REGRADES}{job.pk}/", {"status": "x"}).status_code == 422
    assert len(text_of(team.get(f"{REGRADES}{job.pk}.csv", {"status": "down"})).splitlines()) == 3


# -- statistics of problems


def test_list_of_problems_is_sorted_and_has_a_csv_file(team):
    graded("ada")
    graded("bob", usage_key=OTHER_PROBLEM)
    failed = submit(make_learner("cyd"), usage_key=OTHER_PROBLEM)
    Submission.objects.filter(pk=failed).update(status="failed", available_at=None, due_at=None)

    def names(**query: str) -> list[str]:
        rows = team.get(PROBLEMS, query).context["rows"]
        return [row.usage_key.block_id for row in rows]

    assert names() == ["lists", "loops"]
    assert names(order="desc") == ["loops", "lists"]
    for column in ("submissions", "failed"):
        assert names(sort=column, order="asc") == ["loops", "lists"]
    assert names(sort="submissions", order="desc") == ["lists", "loops"]
    assert names(sort="x") == ["lists", "loops"]
    assert names(problem="loop") == ["loops"]
    assert len(text_of(team.get(f"{ROOT}/problems.csv", {"problem": "loop"})).splitlines()) == 2
    for path in (PROBLEMS, f"{ROOT}/problems.csv"):
        assert team.get(path, {"problem": "x" * 256}).status_code == 422
    head, first, _second = csv.reader(io.StringIO(text_of(team.get(f"{ROOT}/problems.csv"))[1:]))
    assert dict(zip(head, first, strict=True)) == {
        "problem": str(OTHER_PROBLEM),
        "submissions": "2",
        "failed": "1",
    }


def test_statistics_have_points_failures_times_and_feedback(team):
    for n in range(3):
        graded(f"ok {n}", 1)
    graded("none", 0)
    failed = submit(make_learner("failed"))
    Submission.objects.filter(pk=failed).update(status="failed", available_at=None, due_at=None)
    begin = timezone.now() - timedelta(minutes=10)
    for n, pk in enumerate(Submission.objects.order_by("pk").values_list("pk", flat=True)):
        times = {"created_at": begin, "leased_at": begin + timedelta(seconds=10 * (n + 1))}
        times["finished_at"] = times["leased_at"] + timedelta(seconds=2)
        Submission.objects.filter(pk=pk).update(deliveries=1, **times)
    found = team.get(f"{PROBLEMS}{PROBLEM}/").context["statistics"]
    assert (found.total, found.failed, found.failed_share) == (5, 1, 0.2)
    assert [each.number for each in found.bins] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found.waiting == (30, 50)
    assert found.grading == (2, 2)
    assert found.feedback == (("old", 4),)
    (row,) = team.get(PROBLEMS).context["rows"]
    assert (row.usage_key, row.total, row.failed) == (PROBLEM, 5, 1)


@pytest.mark.parametrize("number", [1, 12])
def test_statistics_take_five_statements_for_any_number(team, django_assert_num_queries, number):
    """Session, user, group; submissions, replies. The list: the newest rows, counts."""
    for n in range(number):
        graded(f"learner {n}")
    with django_assert_num_queries(5):
        team.get(f"{PROBLEMS}{PROBLEM}/")
    with django_assert_num_queries(5):
        team.get(PROBLEMS)


@pytest.mark.parametrize(
    ("points", "numbers"),
    [
        ([], [0] * 10),
        ([0, 0], [2] + [0] * 9),
        ([10, 1, 1.5, 5], [1, 1, 0, 0, 1, 0, 0, 0, 0, 1]),
        ([-1, 3], [1] + [0] * 8 + [1]),
    ],
)
def test_distribution_counts_each_submission_once(points, numbers):
    assert [each.number for each in statistics._bins(points)] == numbers


def test_feedback_is_counted_without_markup_and_without_the_table_of_tests():
    message = '<p>one</p><p>two <b>three</b></p><div class="external-grader-tests"><table/></div>'
    assert statistics._text(message) == "one two three"


def test_problem_without_submissions_says_so(team):
    assert "No submission to this problem" in text_of(team.get(f"{PROBLEMS}{PROBLEM}/"))
    assert "has no submissions" in text_of(team.get(PROBLEMS))
    assert team.get(f"{PROBLEMS}nonsense/").status_code == 404
