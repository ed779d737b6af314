"""The commands for graders, queues and sweeps, called with an operator's arguments."""

from __future__ import annotations

import io
from contextlib import nullcontext

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.commands import json_of, output_of
from tests.submission_queue.factories import GraderClient, make_grader, new_submission
from xqueue_bridge.management.commands import xqueue_bridge_sweep
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderSecret
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.worker.stop_signals import StopFlag

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_principal_cache():
    cache.clear()


class TestGrader:
    def test_create_prints_a_valid_secret(self):
        secret = output_of("xqueue_bridge_grader", "create", "watcher", "--queue", "python")
        grader = GraderClient(secret)
        assert grader.login()["return_code"] == 0
        assert grader.ask("get_queuelen", queue_name="python")["return_code"] == 0

    def test_rotate_keeps_the_former_secret_valid(self):
        old = output_of("xqueue_bridge_grader", "create", "watcher")
        new = output_of("xqueue_bridge_grader", "rotate", "watcher")
        assert old != new
        assert GraderClient(old).login() == GraderClient(new).login()

    def test_rotate_without_overlap_ends_the_former_secret(self):
        old = output_of("xqueue_bridge_grader", "create", "watcher")
        output_of("xqueue_bridge_grader", "rotate", "watcher", "--overlap-hours", "0")
        assert GraderClient(old).login()["return_code"] == 1

    def test_grant_and_deny_change_the_listed_queues(self):
        output_of("xqueue_bridge_grader", "create", "watcher", "--queue", "python")
        assert output_of("xqueue_bridge_grader", "grant", "watcher", "--queue", "java") == (
            "watcher: java, python"
        )
        output_of("xqueue_bridge_grader", "deny", "watcher", "--queue", "python")
        assert output_of("xqueue_bridge_grader", "list") == "watcher: java"

    def test_revoke_ends_all_secrets(self):
        secret = output_of("xqueue_bridge_grader", "create", "watcher")
        output_of("xqueue_bridge_grader", "revoke", "watcher")
        assert GraderClient(secret).login()["return_code"] == 1

    def test_list_marks_graders_that_cannot_log_in(self):
        """Mark graders whose secrets are revoked or expired."""
        for name in ("able", "expired", "revoked"):
            output_of("xqueue_bridge_grader", "create", name)
        output_of("xqueue_bridge_grader", "revoke", "revoked")
        GraderSecret.objects.filter(grader__name="expired").update(expires_at=timezone.now())
        Grader.objects.filter(name="revoked").update(is_active=False)
        assert output_of("xqueue_bridge_grader", "list").splitlines() == [
            "able: none",
            "expired (no secret): none",
            "revoked (inactive) (no secret): none",
        ]

    def test_list_takes_two_statements_for_any_number(self, django_assert_num_queries):
        for number in range(5):
            output_of("xqueue_bridge_grader", "create", f"grader {number}", "--queue", "python")
        with django_assert_num_queries(2):
            assert len(output_of("xqueue_bridge_grader", "list").splitlines()) == 5

    @pytest.mark.parametrize(
        "arguments",
        [
            ("create", ""),
            ("create", "x" * 129),
            ("create", "half of a pair: \udcff"),
            ("create", "two\nlines"),
            ("create", "watcher", "--queue", "x" * 129),
            ("create", "watcher", "--queue", " "),
            ("grant", "watcher", "--queue", "x" * 129),
            ("rotate", "watcher", "--overlap-hours", "nan"),
            ("rotate", "watcher", "--overlap-hours", "-1"),
            ("rotate", "watcher", "--overlap-hours", "1e30"),
            ("rotate", "watcher", "--overlap-hours", "soon"),
        ],
    )
    def test_invalid_arguments_are_errors(self, arguments):
        """Name the invalid argument in the error, before the database refuses it."""
        with pytest.raises(CommandError, match="is not a"):
            output_of("xqueue_bridge_grader", *arguments)
        assert not Grader.objects.exists()

    def test_taken_and_unknown_names_are_errors(self):
        output_of("xqueue_bridge_grader", "create", "watcher")
        with pytest.raises(CommandError, match="already"):
            output_of("xqueue_bridge_grader", "create", "watcher")
        with pytest.raises(CommandError, match="no grader 'unknown'"):
            output_of("xqueue_bridge_grader", "rotate", "unknown")


class TestQueues:
    def test_json_has_waiting_and_leased_of_each_queue(self):
        grader = make_grader()
        for number in range(3):
            queue.enqueue(new_submission(queue_key=str(number)))
        queue.enqueue(new_submission("java"))
        grader.pull()
        reports = json_of("xqueue_bridge_queue_stats")
        assert [(r["queue_name"], r["waiting"], r["leased"]) for r in reports] == [
            ("java", 1, 0),
            ("python", 2, 1),
        ]
        assert reports[1]["oldest_seconds"] >= 0

    def test_stats_count_answered_and_failed_submissions(self, settings):
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        grader = make_grader()
        queue.enqueue(new_submission(queue_key="answered"))
        grader.put(grader.pull().header)
        queue.enqueue(new_submission(queue_key="failed"))
        grader.pull()
        Submission.objects.filter(queue_key="failed").update(
            available_at=Submission.objects.get(queue_key="failed").created_at
        )
        api.fail_exhausted()
        report = next(iter(api.queue_stats()))
        assert (report.answered, report.failed, report.waiting, report.leased) == (1, 1, 0, 0)
        assert report.oldest_seconds is None

    def test_table_has_a_header_and_a_row_for_each_queue(self):
        queue.enqueue(new_submission())
        head, row = output_of("xqueue_bridge_queue_stats").splitlines()
        assert head.split()[:3] == ["queue_name", "waiting", "leased"]
        assert row.split()[:3] == ["python", "1", "0"]

    def test_stats_take_six_statements_for_any_number_of_queues(self, django_assert_num_queries):
        for number in range(5):
            queue.enqueue(new_submission(f"queue {number}"))
        with django_assert_num_queries(6):
            assert len(api.queue_stats()) == 5


@pytest.mark.django_db(transaction=True)
class TestSweep:
    def test_sweep_prints_counts_and_nothing_the_second_time(self, settings):
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        queue.enqueue(new_submission())
        make_grader().pull()
        Submission.objects.update(available_at=Submission.objects.get().created_at)
        assert "1 submissions failed" in output_of("xqueue_bridge_sweep")
        assert output_of("xqueue_bridge_sweep") == ""

    def test_failed_part_of_a_sweep_is_an_error(self, settings):
        """Raise an error that names the part, so that cron gets an exit code."""
        settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "no.such.backend"}
        with pytest.raises(ExceptionGroup, match="Not swept: replies applied"):
            output_of("xqueue_bridge_sweep")

    def test_forever_continues_after_an_error_until_it_is_stopped(self, monkeypatch):
        """SG44: continue after a database error or a wrong setting, and print no secret."""
        stop = StopFlag()
        sweeps = iter(["fails", "works", "is stopped"])

        def one_sweep() -> dict[str, int]:
            match next(sweeps):
                case "fails":
                    raise ExceptionGroup("Not swept: applied (X)", [ValueError("secret")])
                case "is stopped":
                    stop.set()
            return {"applied": 1}

        monkeypatch.setattr(xqueue_bridge_sweep, "sweep", one_sweep)
        monkeypatch.setattr(xqueue_bridge_sweep, "StopSignals", lambda: nullcontext(stop))
        output, errors = io.StringIO(), io.StringIO()
        arguments = ("--forever", "--interval", "0.01")
        call_command("xqueue_bridge_sweep", *arguments, stdout=output, stderr=errors)
        assert output.getvalue() == "1 applied\n" * 2
        assert errors.getvalue() == "Not swept: applied (X)\n"

    @pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "often"])
    def test_invalid_interval_is_an_error(self, interval):
        with pytest.raises(CommandError, match="is not a number above 0"):
            output_of("xqueue_bridge_sweep", "--forever", f"--interval={interval}")
