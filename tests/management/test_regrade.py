"""xqueue_bridge_regrade."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError

from tests.commands import json_of, output_of
from tests.regrading.factories import graded
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.models import Regrade

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]


def run(*arguments: object) -> list[dict[str, Any]]:
    return json_of("xqueue_bridge_regrade", *arguments)


def test_dry_run_prints_the_preview_and_stores_nothing():
    graded("ada", 1)
    (preview,) = run("start", "--course", COURSE, "--problem", PROBLEM, "--dry-run")
    assert preview == {
        "submissions": 1,
        "learners_whose_points_could_fall": 1,
        "minutes_at_least": 0.0,
        "minutes_at_most": None,
        "replaced": 0,
        "without_grade": 0,
        "in_other_regrade": 0,
    }
    assert not Regrade.objects.exists()


def test_regrade_is_started_shown_paused_resumed_cancelled_and_listed():
    graded("ada", 1)
    (started,) = run("start", "--course", COURSE, "--queue", "python", "--only-if-higher")
    pk = started["id"]
    assert (started["status"], started["total"], started["planned"]) == ("running", 1, 1)
    assert Regrade.objects.get().only_if_higher
    assert run("pause", pk)[0]["status"] == "paused"
    assert run("resume", pk)[0]["status"] == "running"
    assert run("cancel", pk)[0]["cancelled"] == 1
    assert run("list", "--course", COURSE) == run("show", pk)
    assert f"id={pk}" in output_of("xqueue_bridge_regrade", "show", pk)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start", "--course", "nonsense", "--failed"], "is not a course key"),
        (["start", "--course", COURSE], "is required"),
        (["start", "--course", COURSE, "--failed"], "scope: no submission"),
        (["start", "--course", COURSE, "--failed", "--since", "then"], "neither a day nor a time"),
        (["start", "--course", COURSE, "--problem", "there"], "is not a usage key"),
        (["show", "7"], "There is no regrade 7"),
    ],
)
def test_invalid_arguments_are_errors_that_name_them(arguments, message):
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_change_that_is_not_possible_is_an_error():
    graded("ada", 1)
    (started,) = run("start", "--course", COURSE, "--queue", "python")
    with pytest.raises(CommandError, match="is running; resume is not possible"):
        run("resume", started["id"])
