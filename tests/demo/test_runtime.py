"""The real problem block on the demo's runtime, with the bridge's learner state."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import Http404

from demo import runtime
from demo.course import course
from demo.services import anonymous_id
from tests.demo.conftest import SAMPLES, answer, grade, load, sample, submit
from xqueue_bridge.api import RawScore
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue.models import Submission

PROBLEMS = [problem.url_name for problem in course().problems]


@pytest.mark.parametrize("url_name", PROBLEMS)
def test_answer_is_sent_and_graded(learner, url_name: str) -> None:
    assert submit(learner, url_name) == runtime.Submitted(True)
    points = course().by_url_name(url_name).points
    assert 'class="xqueue"' in runtime.render(load(learner, url_name))
    for submission, earned in zip(Submission.objects.order_by("pk"), points, strict=True):
        answer(submission, score=earned, msg="<p>All of it works.</p>")
    html = runtime.render(load(learner, url_name))
    assert html.count("All of it works.") == len(points)
    assert 'class="xqueue"' not in html
    assert grade(learner, url_name) == RawScore(sum(points), sum(points))


def test_first_rendering_stores_the_learners_seed(learner) -> None:
    looked_at = load(learner, "caesar")
    html = runtime.render(looked_at)
    seed = runtime.random_seed(looked_at)
    shift = 3 + int(random.Random(seed).random() * 20)
    assert f"<strong>{shift}</strong>" in html
    key = course().by_url_name("caesar").usage_key
    assert learner_state.read_state(learner.pk, key, key.context_key)["seed"] == seed


def test_graders_get_the_seed_but_not_the_username(learner) -> None:
    submit(learner, "caesar")
    body = json.loads(Submission.objects.get().content.body)
    student_info = json.loads(body["student_info"])
    assert student_info["random_seed"] == runtime.random_seed(load(learner, "caesar"))
    assert student_info["anonymous_student_id"] == anonymous_id(learner.pk)
    assert learner.username not in Submission.objects.get().content.body


def test_learners_have_different_seeds() -> None:
    seeds = set()
    for user_id in range(1, 30):
        block = runtime.load_block(
            user_id,
            course().key,
            course().by_url_name("caesar").usage_key,
            state=runtime.LearnersState(course().key, AnonymousUser()),
        )
        block.choose_new_seed()
        seeds.add(block.seed)
    assert len(seeds) > 5


def test_files_are_sent_as_uploads(learner) -> None:
    submit(learner, "wordcount")
    content = Submission.objects.get().content
    (file,) = content.stored_files()
    text = SAMPLES["wordcount"]["right"]["files"]["wordcount.py"]
    assert (file.name, file.size) == ("wordcount.py", len(text.encode()))
    assert json.loads(content.body)["student_response"] == ""


def test_no_file_is_not_an_attempt(learner) -> None:
    block = load(learner, "wordcount")
    assert runtime.submit(block, {}) == runtime.Submitted(False, "Choose a file to hand in first.")
    assert load(learner, "wordcount").attempts == 0


def test_second_answer_within_the_waiting_time_is_rejected(learner, settings) -> None:
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 60
    assert submit(learner, "fizzbuzz").ok
    again = submit(learner, "fizzbuzz", "wrong")
    assert not again.ok
    assert "at least 60 seconds" in again.message
    assert Submission.objects.count() == 1


def test_message_of_an_answer_that_could_not_be_sent(learner, settings) -> None:
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True}
    outcome = submit(learner, "temperature")
    assert not outcome.ok
    assert outcome.message.count("Unable to deliver your submission") == 2


def test_no_transaction_is_open_while_the_block_runs(learner, monkeypatch) -> None:
    seen = []
    block = load(learner, "fizzbuzz")
    checked = block.submit_problem

    def watched(data):
        seen.append(connection.in_atomic_block)
        return checked(data)

    monkeypatch.setattr(type(block), "submit_problem", lambda self, data: watched(data))
    assert runtime.submit(block, sample("fizzbuzz", "right")).ok
    assert seen == [False]


def test_only_changed_fields_are_written(learner) -> None:
    submit(learner, "fizzbuzz")
    key = course().by_url_name("fizzbuzz").usage_key
    before = [
        entry.version for entry in learner_state.read_history(learner.pk, key, key.context_key)
    ]
    runtime.render(load(learner, "fizzbuzz"))
    after = [
        entry.version for entry in learner_state.read_history(learner.pk, key, key.context_key)
    ]
    assert before == after


def test_unknown_problem_raises_key_error(learner) -> None:
    with pytest.raises(Http404):
        runtime.load_block(
            learner.pk, course().key, course().key.make_usage_key("problem", "nowhere")
        )


def test_student_view_renders(learner) -> None:
    fragment = load(learner, "fizzbuzz").render("student_view")
    assert "problems-wrapper" in fragment.content


def test_deleted_field_has_its_default(learner) -> None:
    block = load(learner, "caesar")
    runtime.render(block)
    del block.seed
    key = course().by_url_name("caesar").usage_key
    assert "seed" not in learner_state.read_state(learner.pk, key, key.context_key)


def test_loading_and_rendering_runs_one_statement(learner, django_assert_num_queries) -> None:
    """The statement reads the learner's state; no field of another scope is used."""
    submit(learner, "fizzbuzz")
    key = course().by_url_name("fizzbuzz").usage_key
    with django_assert_num_queries(1):
        state = runtime.LearnersState(key.context_key, learner)
        runtime.render(runtime.load_block(learner.pk, key.context_key, key, state=state))


@pytest.mark.parametrize("url_name", PROBLEMS)
def test_crawler_creates_no_state(learner, url_name: str) -> None:
    """SG36: a page is rendered for a crawler, and neither state nor score is stored."""
    key = course().by_url_name(url_name).usage_key

    def crawl() -> str:
        state = runtime.LearnersState(key.context_key, learner, read_only=True)
        block = runtime.load_block(learner.pk, key.context_key, key, state=state)
        block.runtime.publish(block, "grade", {"value": 9, "max_value": 9})
        return runtime.render(block)

    crawl()
    assert not StudentModule.objects.exists()
    assert submit(learner, url_name).ok
    before = StudentModule.objects.values().get()
    assert crawl() == runtime.render(load(learner, url_name))
    assert StudentModule.objects.values().get() == before


FIRST_BLOCK = """
import django, inspect, sys
django.setup()
from demo import runtime
from xblock.runtime import Mixologist

def getmembers(*args):
    raise AssertionError("the fields were computed again")

inspect.getmembers = getmembers
print(len(Mixologist(runtime.MIXINS).mix(runtime.ProblemBlock).fields))
"""


def test_class_caches_are_filled_on_import(tmp_path: Path) -> None:
    """XBlock fills them without a lock, so that other threads would read None."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "demo.settings",
        "XQUEUE_BRIDGE_DEMO_VAR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", FIRST_BLOCK],
        cwd=Path(__file__).resolve().parent.parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
