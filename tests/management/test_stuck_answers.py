"""xqueue_bridge_stuck_answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError

from tests.commands import json_of, output_of
from tests.stuck_answers.factories import lost, no_reply
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.learner_state import waiting
from xqueue_bridge.models import ReceivedReply, StudentModule, Submission

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]
COMMAND = "xqueue_bridge_stuck_answers"


def run(*arguments: object) -> list[dict[str, Any]]:
    return json_of(COMMAND, "--older-than", 0, *arguments)


def test_dry_run_is_the_default_and_changes_nothing():
    user_id = lost()
    row = StudentModule.objects.get()
    for arguments in ([], ["--dry-run"], ["--course", COURSE]):
        found, total = run(*arguments)
        assert found == {
            "row": row.pk,
            "user_id": user_id,
            "course": str(COURSE),
            "problem": str(PROBLEM),
            "since": row.modified.isoformat(),
            "kind": "lost",
            "submission": None,
            "repair": "ended",
        }
        expected = {"waiting": 1, "stuck": 1, "at_legacy_server": 0, "lost": 1, "next": None}
        assert total == expected
    assert not Submission.objects.exists()
    assert not ReceivedReply.objects.exists()


def test_repair_prints_each_outcome_and_is_done_once():
    lost("ada")
    no_reply("bob")
    ended, offered, total = run("--repair")
    assert (ended["outcome"], offered["outcome"]) == ("ended", "offered")
    assert (total["ended"], total["offered"], total["stuck"]) == (1, 1, 2)
    assert run("--repair") == [{"waiting": 1, "stuck": 0, "at_legacy_server": 0, "next": None}]
    assert "waiting=1" in output_of(COMMAND, "--older-than", 0)


def test_search_that_ended_by_time_goes_on_after_its_row(monkeypatch):
    monkeypatch.setattr(waiting, "PAGE", 2)
    for n in range(3):
        lost(f"learner {n}")
    monkeypatch.setattr(
        "xqueue_bridge.management.commands.xqueue_bridge_stuck_answers.find", _short_find
    )
    *found, total = run("--seconds", "0")
    assert (len(found), total["next"]) == (2, found[-1]["row"])
    *found, total = run("--after", total["next"])
    assert (len(found), total["next"]) == (1, None)


def _short_find(*args: Any, **options: Any) -> Any:
    from xqueue_bridge.stuck_answers.find import find

    return find(*args, **options, seconds=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--course", "nonsense"], "is not a course key"),
        (["--older-than", "-1"], "is not a whole number"),
        (["--after", "x"], "is not a whole number"),
        (["--repair", "--dry-run"], "cannot be used with --dry-run"),
    ],
)
def test_invalid_arguments_are_errors_that_name_them(arguments, message):
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_state_of_another_process_is_an_error(settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "REPLY_BACKEND": "callback"}
    with pytest.raises(CommandError, match="REPLY_BACKEND"):
        run()
