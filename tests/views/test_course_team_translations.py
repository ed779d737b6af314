"""The course team's pages in the pseudo-language and in German."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation

from tests.regrading.factories import grade_all_again, graded, start
from tests.stuck_answers.factories import dead_reply, lost, no_reply
from tests.submission_queue.factories import COURSE, PROBLEM
from tests.test_translations import visible_text
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = f"/xqueue/courses/{COURSE}"
PATHS = ["submissions/", "submissions/{pk}/", "problems/", f"problems/{PROBLEM}/", "regrades/"]
PATHS += ["regrades/new/", "regrades/{job}/", "stuck/"]
#: What the rows contain: names, keys, answers, units of time.
DATA = {"ada", "bob", "lost", "dead", "none", "python", "loops", "print", "old", "new", "course"}
DATA |= {"v1", "DemoX", "CS101", "staff", "s", "min", "d", "h", "p", "a", "m", "pm", "am", "CSV"}


@pytest.fixture
def team(client, settings) -> Client:
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    client.force_login(User.objects.create(username="staff", is_staff=True))
    return client


@pytest.fixture
def paths(team) -> list[str]:
    _, pk = graded("ada", 1)
    graded("bob", 0)
    job = start()
    grade_all_again(0)
    for make, name in ((lost, "lost"), (dead_reply, "dead"), (no_reply, "none")):
        make(name)
    StudentModule.objects.update(modified=timezone.now() - timedelta(hours=2))
    assert Submission.objects.exists()
    return [f"{ROOT}/{path.format(pk=pk, job=job.pk)}" for path in PATHS]


def test_pages_have_no_text_that_is_not_translated(team, paths):
    left = {}
    for path in paths:
        with translation.override("en-xa"):
            response = team.get(path)
        assert response.status_code == 200
        text = visible_text(response.content.decode())
        translated = re.compile(r"\[[^\[\]]*\]")
        while translated.search(text):
            text = translated.sub(" ", text)
        words = set(re.findall(r"[^\W\d_]\w*", text)) - DATA
        if words:
            left[path] = words
    assert left == {}


def test_pages_respond_in_german(team, paths):
    for path in paths:
        with translation.override("de"):
            response = team.get(path)
        assert response.status_code == 200
        assert '<html lang="de" dir="ltr">' in response.content.decode()
    with translation.override("de"):
        assert "Feststeckende Antworten" in team.get(paths[-1]).content.decode()
