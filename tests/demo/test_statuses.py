"""The page of all statuses has each stage, and each text that a learner can read of an answer."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.statuses import states
from xqueue_bridge.submission_queue.api import Stage, newest_answers
from xqueue_bridge.views.learner import texts
from xqueue_bridge.views.learner.answers import shown

pytestmark = pytest.mark.django_db(transaction=True)

#: Of the progress page only; and of grades that take the same time each.
ELSEWHERE = {"A grader works on it.", "The grade is expected in about %(time)s."}


@pytest.fixture(autouse=True)
def _settings(settings) -> None:
    settings.XQUEUE_BRIDGE = {
        "COURSE_STRUCTURE_BACKEND": None,
        "SHOW_RESULTS": "tools.statuses.states.shows_results",
    }


def patterns() -> dict[str, re.Pattern[str]]:
    """Return each translatable text of the module, with a pattern for its placeholders."""
    tree = ast.parse(Path(texts.__file__).read_text(encoding="utf-8"))
    calls = (each for each in ast.walk(tree) if isinstance(each, ast.Call))
    found = [each.args[0].value for each in calls if getattr(each.func, "id", "") == "_"]
    return {text: re.compile(re.sub(r"%\\\(\w+\\\)s", ".+", re.escape(text))) for text in found}


def test_each_status_says_what_its_learner_has_to_know() -> None:
    learner = states.create()
    stages, lines = set(), []
    for name, state in states.STATES.items():
        statuses = newest_answers(learner, states.key_of(name))
        answers = shown(learner, statuses)
        text = "\n".join("\n".join((each.headline, *each.lines)) for each in answers)
        expected = [each for each in state.texts if not each.startswith("Answer ")]
        assert [each for each in expected if each not in text] == [], (name, text)
        assert all(each.is_final for each in statuses) == state.is_final, name
        stages |= {each.stage for each in statuses}
        lines.append(text)
    assert stages == set(Stage)
    page = "\n".join(lines)
    missing = {text for text, pattern in patterns().items() if not pattern.search(page)}
    assert missing == ELSEWHERE
