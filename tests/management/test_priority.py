"""xqueue_bridge_priority."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError

from tests.commands import output_of
from tests.submission_queue.factories import COURSE
from xqueue_bridge.models import OperatorAction, Priority

pytestmark = pytest.mark.django_db


def run(*arguments: object) -> str:
    return output_of("xqueue_bridge_priority", *arguments)


def test_priorities_are_set_changed_listed_and_removed():
    run("set", "low", "--queue", "python")
    run("set", "low", "--course", COURSE)
    run("set", "highest", "--course", COURSE)
    lines = [json.loads(line) for line in run("list", "--json").splitlines()]
    assert lines == [
        {"queue": "", "course": str(COURSE), "level": "highest"},
        {"queue": "python", "course": "", "level": "low"},
    ]
    assert run("clear", "--course", COURSE) == "python  *  low"
    recorded = OperatorAction.objects.order_by("pk").values_list("kind", "queue_name", "parameters")
    course = str(COURSE)
    assert list(recorded) == [
        ("priority", "python", {"course": "", "level": -1}),
        ("priority", "", {"course": course, "level": -1}),
        ("priority", "", {"course": course, "level": 2}),
        ("priority", "", {"course": course, "level": None}),
    ]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("set", "low"), "--queue, --course"),
        (("set", "low", "--queue", "x" * 129), "--queue: "),
        (("set", "low", "--queue", "two\nlines"), "--queue: "),
        (("set", "low", "--course", "x"), "--course"),
        (("set", "urgent", "--queue", "python"), "level"),
    ],
)
def test_error_names_the_argument(arguments, name):
    with pytest.raises(CommandError, match=name):
        run(*arguments)
    assert not Priority.objects.exists()
