"""The learner's pages of the own answers: table, CSV file, one answer; and who may not see them."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db.models import F
from django.test import Client
from django.utils import timezone, translation

from tests.course_grades.courses import policy
from tests.regrading.factories import grade, graded, submit
from tests.submission_queue.factories import (
    COURSE,
    OTHER_PROBLEM,
    PROBLEM,
    make_grader,
    new_submission,
)
from xqueue_bridge.course_structure.course import Block, Chapter, Course, Subsection
from xqueue_bridge.course_structure.store import publish
from xqueue_bridge.data import Dispatch, ProblemDescription
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.lms.course_staff import group_name
from xqueue_bridge.submission_queue import finish, queue
from xqueue_bridge.submission_queue.api import AnswerStatus, Stage
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.views import tables
from xqueue_bridge.views.learner import problems
from xqueue_bridge.views.learner.answers import shown

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
LIST, CSV = "/xqueue/my/", "/xqueue/my.csv"
SECRET = "tigerlily"
TESTS = [
    {"name": "small numbers", "score": 1, "max_score": 1, "message": "as expected"},
    {"name": "large numbers", "score": 0, "max_score": 1, "message": SECRET, "visible": False},
]


@pytest.fixture(autouse=True)
def _without_course_grades(settings):
    cache.clear()  # descriptions of problems
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}


def graded_answer(user: User, score: float = 1, **more) -> int:
    pk = submit(user.pk, **more)
    grade(pk, score, "well done")
    return pk


def text_of(response) -> str:
    return (b"".join(response) if response.streaming else response.content).decode()


def ids(response) -> list[int]:
    return [answer.status.submission_id for answer, _problem in response.context["rows"]]


def lines_of(response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(response).removeprefix("\ufeff"))))


# -- access


def wrong_viewers() -> list[Client]:
    """Return clients of another learner, another course's staff, staff of the host."""
    other = User.objects.create(username="other")
    team = User.objects.create(username="team")
    team.groups.add(Group.objects.create(name=group_name("course-v1:DemoX+CS102+2026")))
    own_team = User.objects.create(username="own")
    own_team.groups.add(Group.objects.create(name=group_name(COURSE)))
    host = User.objects.create(username="host", is_staff=True, is_superuser=True)
    found = []
    for user in (other, team, own_team, host):
        found.append(Client())
        found[-1].force_login(user)
    return found


def test_no_user_sees_another_learners_answers(ada):
    pk = graded_answer(ada)
    for http in wrong_viewers():
        for query in ("", f"?user_id={ada.pk}", f"?learner=ada&after={pk + 1}", "?status=graded"):
            assert ids(http.get(LIST + query)) == []
            assert lines_of(http.get(CSV + query)) == []
        response = http.get(f"{LIST}{pk}/")
        assert response.status_code == 404
        assert "well done" not in text_of(response)


def test_without_a_user_the_login_is_shown_and_nothing_else(ada):
    pk = graded_answer(ada)
    for http in (Client(), make_grader().http):
        for path in (LIST, CSV, f"{LIST}{pk}/"):
            response = http.get(path)
            assert response.status_code == 302
            assert response.content == b""


def test_inactive_learner_is_refused(client, ada):
    pk = graded_answer(ada)
    User.objects.update(is_active=False)
    for path in (LIST, CSV, f"{LIST}{pk}/"):
        assert client.get(path).status_code in (302, 403)


def test_pages_are_only_read_and_never_stored_by_a_cache(client, ada):
    pk = graded_answer(ada)
    for path in (LIST, CSV, f"{LIST}{pk}/"):
        assert client.post(path).status_code == 405
        assert "no-store" in client.get(path)["Cache-Control"]


# -- the table


def test_table_has_each_answer_with_its_status(client, ada):
    first = graded_answer(ada)
    second = submit(ada.pk, usage_key=OTHER_PROBLEM)
    trial = Dispatch.UNGRADED_RESPONSE
    queue.enqueue(new_submission(user_id=ada.pk, dispatch=trial, queue_key="trial"))
    response = client.get(LIST)
    assert ids(response) == [second, first]
    page = text_of(response)
    assert "1 of 1 points" in page
    assert "Waiting for a grader" in page
    assert "<bdi>loops</bdi>" in page


def test_table_is_filtered_and_sorted(client, ada):
    first = graded_answer(ada)
    second = submit(ada.pk, usage_key=OTHER_PROBLEM)
    assert ids(client.get(LIST, {"order": "asc"})) == [first, second]
    assert ids(client.get(LIST, {"sort": "problem"})) == [second, first]
    assert ids(client.get(LIST, {"problem": str(PROBLEM)})) == [first]
    assert ids(client.get(LIST, {"course": str(COURSE)})) == [second, first]
    assert ids(client.get(LIST, {"course": "course-v1:a+b+c"})) == []
    assert ids(client.get(LIST, {"status": "open"})) == [second]
    assert ids(client.get(LIST, {"status": "graded"})) == [first]
    assert ids(client.get(LIST, {"status": "failed"})) == []
    assert ids(client.get(LIST, {"sort": "learner", "after": "x"})) == [second, first]


@pytest.mark.parametrize("sort", ["sent", "problem", "status"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_contain_each_row_once(client, ada, monkeypatch, sort, order):
    monkeypatch.setattr(tables, "PAGE_SIZE", 2)
    for n in range(5):
        submit(ada.pk, usage_key=(PROBLEM, OTHER_PROBLEM)[n % 2])
    query, seen = f"?sort={sort}&order={order}", []
    while query:
        response = client.get(LIST + query)
        seen += ids(response)
        query = response.context["next"]
    assert sorted(seen) == list(Submission.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize("field", ["course", "problem", "status"])
def test_invalid_filter_is_an_error_at_its_field(client, ada, field):
    response = client.get(LIST, {field: "nonsense"})
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert client.get(CSV, {field: "nonsense"}).status_code == 422
    assert client.get(LIST, {field: "a\0b"}).status_code == 422


@pytest.mark.parametrize("number", [1, 20])
def test_table_takes_five_statements_for_any_number(client, ada, django_assert_num_queries, number):
    """Session, user; answers, regrades, replies."""
    for n in range(number):
        pk = submit(ada.pk, f"key {n}")
    for pk in Submission.objects.values_list("pk", flat=True):
        grade(pk, 1)
    with django_assert_num_queries(5):
        client.get(LIST)


@pytest.mark.parametrize(("language", "direction"), [("ar", "rtl"), ("de", "ltr")])
def test_page_has_the_direction_of_its_language(client, ada, language, direction):
    with translation.override(language):
        page = client.get(LIST).content.decode()
    assert f'<html lang="{language}" dir="{direction}">' in page


def test_learner_without_answers_is_told_so(client, ada):
    assert "You have sent no answer" in text_of(client.get(LIST))
    assert "No submission matches" in text_of(client.get(LIST, {"status": "open"}))
    assert lines_of(client.get(CSV)) == []


def test_csv_has_stage_and_points(client, ada):
    pk = graded_answer(ada)
    submit(ada.pk, usage_key=OTHER_PROBLEM)
    done, open_ = lines_of(client.get(CSV))
    assert (done["id"], done["stage"], done["points"], done["possible"]) == (
        str(pk),
        "graded",
        "1",
        "1",
    )
    assert (open_["stage"], open_["points"], open_["finished"]) == ("waiting", "", "")


# -- one answer


def test_page_of_an_answer_has_what_was_sent_and_the_feedback(client, ada):
    pk = graded_answer(ada)
    body = {"student_response": "print('<b>')", "grader_payload": SECRET}
    SubmissionContent.objects.update(body=json.dumps(body))
    page = text_of(client.get(f"{LIST}{pk}/"))
    assert "print(&#x27;&lt;b&gt;&#x27;)" in page
    assert "<p>well done</p>" in page
    assert SECRET not in page, "what the author sends to the grader is no learner's"


@pytest.mark.parametrize("body", ["not json", "[1]", '{"student_response": ["a"]}', SECRET])
def test_body_of_another_form_is_not_shown(client, ada, body):
    pk = graded_answer(ada)
    SubmissionContent.objects.update(body=body)
    page = text_of(client.get(f"{LIST}{pk}/"))
    assert "The answer is not stored." in page
    assert SECRET not in page


def test_hidden_tests_are_not_shown(client, ada):
    pk = submit(ada.pk)
    body = json.dumps(
        {"correct": True, "score": 1, "msg": "", "tests": TESTS, "staff_note": SECRET}
    )
    Submission.objects.update(
        status="answered", available_at=None, due_at=None, finished_at=timezone.now()
    )
    reply = grader_replies.parse_reply(body)
    grader_replies.store_reply(pk, "put_result", body, reply=reply)
    grader_replies.apply_due()
    page = text_of(client.get(f"{LIST}{pk}/"))
    assert "small numbers" in page
    assert "as expected" in page
    assert "Tests that are not shown: 1" in page
    assert "large numbers" not in page
    assert SECRET not in page


def test_failed_answer_has_the_failure_reply_and_says_if_it_counts(client, ada):
    pk = submit(ada.pk)
    queue.pull("python", None)
    Submission.objects.update(available_at=F("created_at"))
    finish.fail(pk, 1)
    grader_replies.apply_due()
    page = text_of(client.get(f"{LIST}{pk}/"))
    assert page.count("You can submit it again") == 1
    assert "This attempt does not count." in page


def hide(user_id, course_key, usage_key) -> bool:
    return False


def describe(course_key, usage_key) -> ProblemDescription:
    long = "Ein sehr langer Name <b>" * 9
    return ProblemDescription(long, "Programmieren", f"/go/{usage_key.block_id}/", weight=5)


def test_problem_is_named_linked_and_weighted(client, ada, settings):
    """As capa shows them: 1 of 1 points of a problem with weight 5 are 5 of 5."""
    settings.XQUEUE_BRIDGE = {"DESCRIBE_PROBLEM": f"{__name__}.describe"}
    pk = graded_answer(ada)
    table, page = text_of(client.get(LIST)), text_of(client.get(f"{LIST}{pk}/"))
    assert '<a href="/go/loops/"><bdi>Ein sehr langer Name &lt;b&gt;' in page
    for text in ("Ein sehr langer Name &lt;b&gt;", "Programmieren", "5 of 5 points"):
        assert text in table
        assert text in page
    [line] = lines_of(client.get(CSV))
    assert (line["points"], line["possible"]) == ("5", "5")


def test_part_of_a_problem_has_its_share_of_the_weight(ada, settings):
    settings.XQUEUE_BRIDGE = {"DESCRIBE_PROBLEM": f"{__name__}.describe"}
    known = {"points": 1.5, "possible": 2, "problem_points": 8}
    [found] = shown(ada.pk, [AnswerStatus(1, COURSE, PROBLEM, Stage.GRADED, NOW, **known)])
    assert (found.points, found.possible) == (1.5 * 5 / 8, 2 * 5 / 8)
    assert found.headline == "0.94 of 1.25 points"


@pytest.mark.parametrize("fault", [ProblemDescription(weight=float("nan")), None, ValueError])
def test_description_that_cannot_be_used_is_left_out(ada, client, settings, monkeypatch, fault):
    def describe_badly(course_key, usage_key):
        if fault is ValueError:
            raise fault
        return fault

    monkeypatch.setattr(problems, "describe_problem", describe_badly)
    graded_answer(ada)
    page = text_of(client.get(LIST))
    assert "<bdi>loops</bdi>" in page
    assert "1 of 1 points" in page


def test_published_course_names_its_problems(client, ada, settings):
    settings.XQUEUE_BRIDGE = {}
    block = Block(PROBLEM, "problem", weight=4, max_score=1.0, display_name="Loops and lists")
    section = Subsection(COURSE.make_usage_key("sequential", "s"), "Week 1", blocks=(block,))
    chapter = Chapter(COURSE.make_usage_key("chapter", "c"), "Part 1", (section,))
    publish(Course(COURSE, "1", NOW, None, policy(Pass=0.5), (chapter,), "Programming"))
    graded_answer(ada)
    page = text_of(client.get(LIST))
    for text in ("Loops and lists", "Programming", "4 of 4 points"):
        assert text in page


def test_hidden_results_are_on_no_page(client, ada, settings):
    settings.XQUEUE_BRIDGE = {"SHOW_RESULTS": f"{__name__}.hide"}
    pk = graded_answer(ada)
    page = text_of(client.get(f"{LIST}{pk}/"))
    assert "The course does not show the result" in page
    assert "well done" not in page
    assert "1 of 1" not in page + text_of(client.get(LIST))
    [line] = lines_of(client.get(CSV))
    assert (line["stage"], line["points"], line["possible"]) == ("graded", "", "")


def test_page_of_an_answer_takes_seven_statements(client, ada, django_assert_num_queries):
    """Session, user; answer, regrades, replies; content and feedback."""
    pk = graded_answer(ada)
    with django_assert_num_queries(7):
        client.get(f"{LIST}{pk}/")


def test_unknown_answer_is_not_found(client, ada):
    assert client.get(f"{LIST}1/").status_code == 404
    assert client.get(f"{LIST}{10**17}/").status_code == 404


def test_answer_of_a_retired_learner_is_gone(client):
    user_id, pk = graded("ada")
    Submission.objects.update(status="retired")
    client.force_login(User.objects.get(pk=user_id))
    assert client.get(f"{LIST}{pk}/").status_code == 404
    assert ids(client.get(LIST)) == []
