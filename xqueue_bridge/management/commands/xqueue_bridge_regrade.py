"""Let graders grade submissions again, and follow it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.management.arguments import (
    course_key,
    parse_time,
    usage_key,
    whole_number,
    write_facts,
)
from xqueue_bridge.models import Regrade
from xqueue_bridge.operations import api as operations
from xqueue_bridge.regrading import api as regrading


class Command(BaseCommand):
    help = "Grade submissions again. The sweeper releases them; learners' new answers come first."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        start = actions.add_parser("start", help="Select submissions of a course and begin.")
        start.add_argument("--course", required=True, type=course_key, help="The course key.")
        start.add_argument(
            "--submission", type=whole_number, metavar="ID", help="Only this submission."
        )
        start.add_argument("--problem", type=usage_key, help="Only of this problem.")
        start.add_argument("--queue", help="Only of this queue.")
        start.add_argument("--failed", action="store_true", help="Only failed submissions.")
        start.add_argument("--since", type=parse_time, help="Only sent since this day or time.")
        start.add_argument(
            "--only-if-higher", action="store_true", help="A result with fewer points is ignored."
        )
        start.add_argument(
            "--hide-feedback",
            action="store_true",
            help="Learners see that the answer waits, instead of the previous feedback.",
        )
        start.add_argument(
            "--per-minute",
            type=whole_number,
            default=60,
            help="Submissions per minute (default: 60).",
        )
        start.add_argument("--dry-run", action="store_true", help="Print the preview only.")
        for action, text in (
            ("show", "Print the progress."),
            ("pause", "Release no more submissions."),
            ("resume", "Continue a paused regrade."),
            ("cancel", "End it; learners keep the grades that they have."),
        ):
            one = actions.add_parser(action, help=text)
            one.add_argument("id", type=whole_number)
        listing = actions.add_parser("list", help="Print the regrades of a course, newest first.")
        listing.add_argument("--course", required=True, type=course_key)
        for each in actions.choices.values():
            each.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: object, action: str, **options: Any) -> None:
        try:
            if action == "start":
                self._start(**options)
            elif action == "list":
                self._show(regrading.regrades_of(options["course"]), options["json"])
            else:
                self._one(action, options["id"], options["json"])
        except InvalidField as exc:
            raise CommandError(str(exc)) from exc

    def _start(
        self,
        *,
        course: CourseKey,
        submission: int | None,
        problem: UsageKey | None,
        queue: str | None,
        failed: bool,
        since: datetime | None,
        only_if_higher: bool,
        hide_feedback: bool,
        per_minute: int,
        json: bool,
        dry_run: bool,
        **options: object,
    ) -> None:
        if not (submission or problem or queue or failed):
            raise CommandError("One of --submission, --problem, --queue, --failed is required.")
        selection = regrading.Selection(
            course,
            submission_id=submission,
            usage_key=problem,
            queue_name=queue,
            since=since,
            only_failed=failed,
        )
        how = regrading.RegradeOptions(
            only_if_higher=only_if_higher, keep_feedback=not hide_feedback, per_minute=per_minute
        )
        if dry_run:
            self._print(_as_dict(regrading.preview(selection, how)), json)
        else:
            self._show([operations.start_regrade(selection, how)], json)

    def _one(self, action: str, regrade_id: int, as_json: bool) -> None:
        regrade = Regrade.objects.filter(pk=regrade_id).first()
        if regrade is None:
            raise CommandError(f"There is no regrade {regrade_id}.")
        is_change = action in operations.REGRADE_CHANGES
        if is_change and not operations.change_regrade(regrade, action):
            status = Regrade.objects.values_list("status", flat=True).get(pk=regrade_id)
            raise CommandError(f"Regrade {regrade_id} is {status}; {action} is not possible.")
        self._show([Regrade.objects.get(pk=regrade_id)], as_json)

    def _show(self, regrades: list[Regrade], as_json: bool) -> None:
        progress = regrading.progress([each.pk for each in regrades])
        for each in regrades:
            facts: dict[str, object] = {
                "id": each.pk,
                "course": str(each.course_key),
                "scope": each.scope,
                "status": each.status,
                "author_id": each.author_id,
                "created_at": each.created_at.isoformat(),
                "total": progress[each.pk].total,
                "done": progress[each.pk].done,
                **progress[each.pk].counts,
            }
            self._print(facts, as_json)

    def _print(self, facts: dict[str, object], as_json: bool) -> None:
        write_facts(self.stdout, facts, as_json)


def _as_dict(preview: regrading.Preview) -> dict[str, object]:
    shortest, longest = preview.minutes
    left_out = asdict(preview.found)
    del left_out["candidates"]
    return {
        "submissions": preview.number,
        "learners_whose_points_could_fall": len(preview.could_fall),
        "minutes_at_least": round(shortest, 1),
        "minutes_at_most": None if longest is None else round(longest, 1),
        **left_out,
    }
