"""Fixtures: the demo's course and users, in the host of the tests."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

import demo
from demo import runtime
from demo.course import OLX, Problem, course
from demo.seed import seed
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission

#: Only the browser lane installs playwright.
BROWSER_TESTS = [
    "test_browser.py",
    "test_course_team_browser.py",
    "test_events_browser.py",
    "test_learner_browser.py",
    "test_operators_browser.py",
    "test_screenshots.py",
]
collect_ignore = [] if importlib.util.find_spec("playwright") else BROWSER_TESTS

SAMPLES: dict[str, Any] = json.loads((OLX / "samples.json").read_text(encoding="utf-8"))


def sample(url_name: str, kind: str) -> runtime.Answers:
    """Return one of the course's sample answers, as ``runtime.submit`` takes it."""
    found = SAMPLES[url_name][kind]
    if "files" in found:
        return {name: text.encode() for name, text in found["files"].items()}
    return found["answers"]


def fizzbuzz() -> Problem:
    return course().by_url_name("fizzbuzz")


def submit(learner: User, url_name: str, kind: str = "right") -> runtime.Submitted:
    """Submit a sample answer of a learner."""
    return runtime.submit(load(learner, url_name), sample(url_name, kind))


def load(learner: User, url_name: str) -> Any:
    problem = course().by_url_name(url_name)
    return runtime.load_block(learner.pk, problem.usage_key.context_key, problem.usage_key)


def answer(submission: Submission, *, score: float, msg: str = "<p>Seen.</p>") -> None:
    """Store a grader's reply to a submission, without HTTP."""
    reply = {"correct": score > 0, "score": score, "msg": msg}
    body = json.dumps(reply)
    reply_id = grader_replies.store_reply(
        submission.pk, "put_result", body, reply=grader_replies.parse_reply(body)
    )
    Submission.objects.filter(pk=submission.pk).update(
        status="answered", available_at=None, due_at=None
    )
    grader_replies.apply_reply(reply_id)


def grade(learner: User, url_name: str) -> learner_state.RawScore | None:
    key = course().by_url_name(url_name).usage_key
    return learner_state.read_score(learner.pk, key, key.context_key)


@pytest.fixture
def learner(transactional_db) -> User:
    """Return a learner of the demo; the course uses the submissions table."""
    return seed(1)[0]


@pytest.fixture
def secret(learner) -> str:
    return submission_queue.create_grader("demo-grader", ["demo"])


@pytest.fixture
def site(settings) -> None:
    """Use the demo's URLs and templates."""
    settings.ROOT_URLCONF = "demo.urls"
    settings.LOGIN_URL = "choose"
    templates = [dict(settings.TEMPLATES[0])]
    templates[0]["DIRS"] = [Path(demo.__file__).parent / "templates"]
    templates[0]["OPTIONS"] = {
        **templates[0]["OPTIONS"],
        "libraries": {"humanize": "django.contrib.humanize.templatetags.humanize"},
    }
    settings.TEMPLATES = templates


@pytest.fixture
def browse(site, learner) -> Callable[[User | None], Client]:
    """Return a function that makes a test client of the demo's pages for a user."""

    def signed_in(person: User | None) -> Client:
        client = Client()
        if person is not None:
            client.force_login(person)
        return client

    return signed_in
