"""The message catalogues, and pages in German and in the pseudo-language en_XA."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import translation

from tests.course_grades import factories
from tests.course_grades.courses import COURSE_KEY, key
from tests.submission_queue.factories import new_submission
from tools import messages
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_grades.api import SubsectionOverride
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.xqueue_service import messages as learner_messages

ROOT = Path(__file__).resolve().parent.parent
GRADES = f"/xqueue/grades/{COURSE_KEY}"
HOMEWORK = key("sequential", "homework")
#: Words of the data below, of units, and of details that follow the platform's English texts.
DATA = {
    *("teacher", "ada", "python", "Grades", "Homework", "Exercise", "Week", "Pass", "ill"),
    *("HW", "Avg", "UTC", "min", "s", "h", "of", "a", "possible", "Only"),
}


@pytest.fixture
def staff(client, db) -> User:
    user = User.objects.create(username="teacher", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def paths(staff) -> dict[str, str]:
    """Return the paths of all pages, with one learner whose grade is overridden."""
    factories.publish()
    ada = factories.make_learner("ada")
    factories.score(ada)
    factories.settle(ada)
    override = SubsectionOverride(earned_graded=1.5, reason="ill", author_id=staff.pk)
    course_grades.set_override(ada.pk, COURSE_KEY, HOMEWORK, override)
    submission_queue.enqueue(new_submission("python"))
    return {
        "progress": f"{GRADES}/progress/{ada.pk}/",
        "gradebook": f"{GRADES}/gradebook/",
        "override": f"{GRADES}/override/{ada.pk}/{HOMEWORK}/",
        "queues": "/xqueue/queues/",
    }


def visible_text(page: str) -> str:
    """Return the texts and labels of a page, without markup and times."""
    labels = " ".join(re.findall(r'(?:aria-label|data-text)="([^"]*)"', page))
    return html.unescape(re.sub(r"<time.*?</time>|<[^>]*>", " ", page, flags=re.S) + labels)


def test_catalogues_have_every_message_of_the_code_and_no_other() -> None:
    assert list(messages.problems()) == []


def test_message_that_is_not_in_the_catalogues_is_a_problem(monkeypatch) -> None:
    template = messages.template_catalog()
    template.add("A new message")
    monkeypatch.setattr(messages, "template_catalog", lambda: template)
    found = [problem for problem in messages.problems() if "'A new message' is missing" in problem]
    assert [problem.partition(":")[0] for problem in found] == ["de", "en_XA"]


def test_pseudo_text_keeps_placeholders_entities_and_tags() -> None:
    text = "%(count)d of {0:,} &amp; <b>more</b>"
    assert messages.pseudo_text(text) == "[%(count)d öf {0:,} &amp; <b>möřé</b>]"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("progress", ["Fortschritt von ada", "Noch nicht bestanden.", "Übung, zählt nicht"]),
        ("gradebook", ["Notenbuch", "Als CSV herunterladen", "1 bis 1 von 1 Lernenden"]),
        ("override", ["Note überschreiben", "1,5 von 4", "auf 1,5 gesetzt", "Grund"]),
        ("queues", ["Bewertungswarteschlangen", "Wartend", "Zurück zur Website"]),
    ],
)
def test_page_in_german(client, paths, name: str, texts: list[str]) -> None:
    with translation.override("de"):
        page = client.get(paths[name]).content.decode()
    assert '<html lang="de">' in page
    text = visible_text(page)
    assert [each for each in texts if each not in text] == []


@pytest.mark.parametrize("name", ["progress", "gradebook", "override", "queues"])
def test_page_in_the_pseudo_language_has_no_text_that_is_not_translated(
    client, paths, name: str
) -> None:
    with translation.override("en-xa"):
        text = visible_text(client.get(paths[name]).content.decode())
    assert "[" in text
    translated = re.compile(r"\[[^\[\]]*\]")
    while translated.search(text):
        text = translated.sub(" ", text)
    assert set(re.findall(r"[^\W\d_]+", text)) - DATA == set()


def test_admin_action_in_german(client, staff) -> None:
    submission_queue.enqueue(new_submission("python"))
    with translation.override("de"):
        page = client.get("/admin/xqueue_bridge/submission/").content.decode()
    assert "Ausgewählte Einreichungen wieder einreihen" in page


def test_learner_message_in_german() -> None:
    with translation.override("de"):
        text = str(learner_messages.fill(learner_messages.TOO_MANY_FILES, 3, 2))
    assert text == "es sind 3 Dateien, und höchstens 2 können gesendet werden"


def test_built_package_contains_the_compiled_catalogues(tmp_path) -> None:
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    built = {path.parent.parent.name for path in tmp_path.rglob("locale/*/LC_MESSAGES/django.mo")}
    assert built == set(messages.LANGUAGES)
