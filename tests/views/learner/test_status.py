"""The status of a learner's answers at a block: its texts, its JSON, the template tag, access."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.template import Context, Template
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from tests.regrading.factories import grade, graded, submit
from tests.submission_queue.factories import COURSE, PROBLEM, make_grader
from tests.test_cache import DOWN
from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.lms.course_staff import group_name
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.api import AnswerStatus, Stage, pause_queue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.learner import results, status, texts
from xqueue_bridge.views.learner.answers import ShownAnswer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]

URL = reverse("xqueue_bridge:learner_status", args=[PROBLEM])
TAG = "{% load xqueue_bridge_status %}{% learner_status problem %}"


def render(user: Any, problem: Any = PROBLEM) -> str:
    class Request:
        pass

    request = Request()
    request.user = user  # type: ignore[attr-defined]
    return Template(TAG).render(Context({"request": request, "problem": problem}))


def answer(stage: Stage, **more: Any) -> AnswerStatus:
    return AnswerStatus(1, COURSE, PROBLEM, stage, timezone.now(), **more)


def text_of(found: AnswerStatus, shows_result: bool = True) -> str:
    every = texts.lines(found, shows_result, timezone.now())
    points = (found.points, found.possible) if shows_result else (None, None)
    return " | ".join([texts.headline(found, *points), *every])


# -- texts


@pytest.mark.parametrize("stage", Stage)
def test_each_stage_has_a_text_in_german_too(stage):
    english = text_of(answer(stage))
    with translation.override("de"):
        assert text_of(answer(stage)) != english


def test_texts_of_an_answer_that_waits():
    waits = answer(Stage.WAITING, position=12, seconds=(61, 600))
    text = text_of(waits)
    assert "Number 12 in the queue. | The grade is expected in 1 min to 10 min. | If you" in text


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (None, "A grader works"),
        (1, "Next in"),
        (2, "Number 2 in"),
        (1001, "More than 1,000 answers"),
    ],
)
def test_position(position, text):
    assert texts.position_text(position).startswith(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((0.2, 0.4), "in 0 s to 1 s"),
        ((3, 3), "in about 3 s"),
        ((59, 61), "in 59 s to 2 min"),
        ((3599, 3601), "in 59 min to 2 h"),
        ((7200, None), "in 2 h at the earliest"),
    ],
)
def test_estimate_is_a_range(seconds, text):
    assert text in texts.estimate_text(*seconds)


def test_no_estimate_is_invented():
    found = text_of(answer(Stage.WAITING, position=3))
    assert "expected" not in found
    assert "No grader is running now." in text_of(
        answer(Stage.WAITING, position=3, has_grader=False)
    )


def test_paused_queue_is_told_and_no_estimate_is_shown(ada):
    submit(ada.pk)
    pause_queue("python")
    found = status.learner_status(ada.pk, PROBLEM)
    assert found["answers"][0]["is_paused"]
    assert "Grading is paused by staff." in found["html"]
    assert "expected" not in found["html"]
    assert found["refresh_seconds"] == status.LONGEST_REFRESH


def test_failed_answer_says_what_to_do_and_what_the_attempt_became():
    text = text_of(answer(Stage.FAILED, is_attempt_returned=True))
    assert "You can submit it again" in text
    assert "This attempt does not count." in text
    assert "This attempt" not in text_of(answer(Stage.FAILED))
    stopped = answer(Stage.FAILED, message="<div>The site refuses it.</div>")
    assert "| The site refuses it." in text_of(stopped)
    counts = text_of(answer(Stage.FAILED, reply_id=1))
    assert "This attempt counts. The course staff can give it back to you." in counts


def test_answer_that_an_operator_ended_says_so():
    text = text_of(answer(Stage.STOPPED, reply_id=1, is_attempt_returned=True))
    assert text == (
        "Grading was ended by staff | Staff have ended the grading of your answer. This says "
        "nothing about your answer. You can submit it again. | This attempt does not count."
    )


def test_each_end_has_its_own_text():
    replaced = text_of(answer(Stage.ENDED, is_replaced=True))
    reset = text_of(answer(Stage.ENDED))
    assert "You have submitted a newer answer" in replaced
    assert "The problem was reset" in reset
    every = [text_of(answer(stage)) for stage in Stage]
    assert len({*every, replaced}) == len(Stage) + 1


def test_hidden_result_has_no_points():
    text = text_of(answer(Stage.GRADED, points=2, possible=3), shows_result=False)
    assert text == "Graded | The course does not show the result, or not yet."
    assert text_of(answer(Stage.GRADED, points=2, possible=3)) == "2 of 3 points"
    assert text_of(answer(Stage.GRADED, points=2)) == "Points: 2"


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (answer(Stage.GRADED), None),
        (answer(Stage.GRADED, is_regraded=True), 60),
        (answer(Stage.GRADING), 3),
        (answer(Stage.WAITING, position=1), 3),
        (answer(Stage.WAITING, position=7), 7),
        (answer(Stage.WAITING, position=700), 15),
        (answer(Stage.WAITING, has_grader=False), 60),
        (answer(Stage.WAITING, seconds=(1, 2)), 3),
        (answer(Stage.WAITING, seconds=(100, 200)), 20),
        (answer(Stage.WAITING, seconds=(9000, None)), 60),
    ],
)
def test_page_asks_again_when_something_may_have_changed(found, seconds):
    shown = ShownAnswer(found, True, "", ())
    assert status._refresh_seconds([shown]) == seconds


# -- JSON


def test_json_follows_an_answer_to_its_grade(client, ada):
    assert client.get(URL).json()["answers"] == []
    make_grader("python")
    Grader.objects.update(last_seen_at=timezone.now())
    pk = submit(ada.pk)
    [found] = client.get(URL).json()["answers"]
    assert (found["stage"], found["position"], found["has_grader"]) == ("waiting", 1, True)
    BestEffortCache().delete(_key(ada.pk))
    queue.pull("python", None)
    assert client.get(URL).json()["announcement"] == "Being graded."
    BestEffortCache().delete(_key(ada.pk))
    grade(pk, 1)
    assert client.get(URL).json()["announcement"] == "1 of 1 points."


def test_json_of_a_graded_answer(client):
    user_id, _ = graded("ada", 1)
    client.force_login(User.objects.get(pk=user_id))
    response = client.get(URL)
    assert "no-store" in response["Cache-Control"]
    found = response.json()
    assert found["refresh_seconds"] is None
    assert found["announcement"] == "1 of 1 points."
    assert (found["answers"][0]["points"], found["answers"][0]["correct"]) == (1, True)
    assert "1 of 1 points" in found["html"]


def test_open_answers_are_cached_and_final_ones_are_not(client, ada, django_assert_num_queries):
    """Session and user; then rows, position, paused queues, graders, pauses, leases, rate."""
    pk = submit(ada.pk)
    with django_assert_num_queries(9):
        client.get(URL)
    with django_assert_num_queries(2):
        client.get(URL)
    BestEffortCache().delete(_key(ada.pk))
    with django_assert_num_queries(4):
        client.get(URL)
    BestEffortCache().delete(_key(ada.pk))
    Submission.objects.filter(pk=pk).update(status="superseded", available_at=None, due_at=None)
    for _ in range(2):
        with django_assert_num_queries(3):
            assert client.get(URL).json()["answers"][0]["stage"] == "ended"


def _key(user_id: int) -> str:
    name = status.sha256(f"{user_id} {PROBLEM} en-us".encode()).hexdigest()
    return f"xqueue_bridge:status:{name}"


def test_cache_that_is_down_costs_statements_and_no_answer(client, ada, settings):
    settings.CACHES = DOWN
    submit(ada.pk)
    assert client.get(URL).json()["answers"][0]["stage"] == "waiting"


# -- results that are not shown


def hide(user_id, course_key, usage_key) -> bool:
    return False


def fail(user_id, course_key, usage_key) -> bool:
    raise OSError("secret text")


@pytest.mark.parametrize("check", [hide, fail])
def test_result_that_is_hidden_is_in_no_part_of_the_response(client, settings, caplog, check):
    settings.XQUEUE_BRIDGE = {"SHOW_RESULTS": f"{__name__}.{check.__name__}"}
    user_id, _ = graded("ada", 1)
    user = User.objects.get(pk=user_id)
    client.force_login(user)
    found = client.get(URL).json()
    assert found["announcement"] == "Graded."
    assert (found["answers"][0]["points"], found["answers"][0]["correct"]) == (None, None)
    assert "points" not in found["html"]
    assert "points" not in render(user)
    assert "secret text" not in caplog.text


def test_decision_is_cached_for_the_learner_and_the_block(settings):
    settings.XQUEUE_BRIDGE = {"SHOW_RESULTS": f"{__name__}.count"}
    block = (COURSE, PROBLEM)
    for _ in range(3):
        assert results.shows_results(7, [block, block]) == {block: True}
    assert results.shows_results(8, [block]) == {block: True}
    assert calls == [7, 8]


calls: list[int] = []


def count(user_id, course_key, usage_key) -> bool:
    calls.append(user_id)
    return True


class Block:
    """A block as an LMS loads it; it shows results to user 7 only."""

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id

    def correctness_available(self) -> bool:
        return self.user_id == 7


def load_block(user_id, course_key, usage_key) -> Block:
    return Block(user_id)


def test_block_decides_where_one_can_be_loaded(settings):
    settings.XQUEUE_BRIDGE = {"BLOCK_LOADER": f"{__name__}.load_block"}
    assert results.may_see_results(7, COURSE, PROBLEM)
    assert not results.may_see_results(8, COURSE, PROBLEM)


# -- template tag


def test_tag_shows_the_status_without_a_script(ada):
    submit(ada.pk)
    page = render(ada, str(PROBLEM))
    assert "Waiting for a grader" in page
    assert f'data-xqueue-status="{URL}"' in page
    assert "<noscript>" in page
    assert 'role="status"' in page


def test_tag_asks_no_more_when_the_answer_is_graded():
    user_id, _ = graded("ada")
    page = render(User.objects.get(pk=user_id))
    assert 'data-refresh=""' in page
    assert "<noscript>" not in page


@pytest.mark.parametrize("user", [None, AnonymousUser()])
def test_tag_shows_nothing_without_a_learner(user):
    assert render(user) == ""
    assert Template(TAG).render(Context({"problem": PROBLEM})) == ""


def test_message_of_the_host_is_escaped(ada, monkeypatch):
    found = answer(Stage.FAILED, message="a &lt;script&gt;<b>b</b>")
    monkeypatch.setattr(status, "newest_answers", lambda *_: [found, found])
    page = render(ada)
    assert "a &lt;script&gt;b" in page
    assert "Answer 2" in page


# -- access


def wrong_viewers() -> Iterator[Client]:
    """Yield clients of an anonymous user, a grader, an inactive user."""
    yield Client()
    yield make_grader().http
    gone = Client()
    gone.force_login(User.objects.create(username="gone", is_active=False))
    yield gone


def test_without_a_user_there_is_no_status(ada):
    submit(ada.pk)
    for http in wrong_viewers():
        response = http.get(URL)
        assert response.status_code == 403
        assert b"waiting" not in response.content


def test_no_user_sees_the_status_of_another_learner(ada):
    submit(ada.pk)
    queue.pull("python", None)
    team = User.objects.create(username="team")
    team.groups.add(Group.objects.create(name=group_name("course-v1:DemoX+CS102+2026")))
    for user in (User.objects.create(username="bob"), team):
        http = Client()
        http.force_login(user)
        for path in (URL, f"{URL}?user_id={ada.pk}&learner=ada"):
            assert http.get(path).json()["answers"] == []
        assert "Being graded" not in render(user)


@pytest.mark.parametrize("usage_id", ["x", f"{PROBLEM}%00", f"{PROBLEM}{'x' * 300}", "a/b"])
def test_unknown_block_is_not_found(client, ada, usage_id):
    assert client.get(f"/xqueue/my/status/{usage_id}/").status_code == 404


def test_status_is_only_read(client, ada):
    assert client.post(URL).status_code == 405


def test_text_says_for_how_long_a_grader_works():
    since = timezone.now() - timedelta(seconds=75)
    assert "for 1 min." in text_of(answer(Stage.GRADING, since=since))
