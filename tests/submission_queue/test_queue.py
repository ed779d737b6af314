"""enqueue, pull, fail_exhausted and supersede_open, with the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from tests.grader_replies.factories import received_signals
from tests.submission_queue.factories import (
    COURSE,
    OTHER_PROBLEM,
    PROBLEM,
    make_grader,
    new_submission,
    stored_files,
    upload,
)
from xqueue_bridge.data import Dispatch
from xqueue_bridge.exceptions import InvalidField, QueueContended, QueueNotFound
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.signals import submission_failed
from xqueue_bridge.submission_queue import finish, portable_pull, queue, supersede
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status, finished

pytestmark = pytest.mark.django_db


@pytest.fixture
def grader_id() -> int:
    return Grader.objects.create(name="watcher").pk


def end_lease(submission_id: int) -> None:
    Submission.objects.filter(pk=submission_id).update(available_at=timezone.now())


def status_of(queue_key: str) -> str:
    return Submission.objects.get(queue_key=queue_key).status


def test_pulled_body_is_equal_to_the_enqueued_one(grader_id):
    """C13: the body reaches the grader byte for byte."""
    body = '{"b": 1,  "a":"é\\u0000\U0001f40d",\n"unknown": [null]}'
    assert queue.enqueue(new_submission(body=body)) == 1
    pulled = queue.pull("python", grader_id)
    assert pulled.body == body
    assert pulled.files == ()


def test_enqueue_returns_the_length_of_its_queue(grader_id):
    assert [queue.enqueue(new_submission(queue_key=str(n))) for n in range(3)] == [1, 2, 3]
    assert queue.enqueue(new_submission("other")) == 1


def test_enqueue_returns_the_limit_or_1_if_the_length_is_unknown(monkeypatch):
    """C11: a stored submission is accepted, also if the queue cannot be counted."""
    monkeypatch.setattr(queue, "LENGTH_LIMIT", 2)
    assert [queue.enqueue(new_submission(queue_key=str(n))) for n in range(3)] == [1, 2, 2]

    def unknown(*args):
        raise DatabaseError

    monkeypatch.setattr(queue, "available", unknown)
    assert queue.enqueue(new_submission(queue_key="uncounted")) == 1
    assert status_of("uncounted") == Status.WAITING


def test_oldest_submission_is_delivered_first(grader_id):
    """C71: submissions are delivered in the order of arrival, also with equal times."""
    with time_machine.travel(timezone.now(), tick=False):
        for number in range(5):
            queue.enqueue(new_submission(body=f'"{number}"'))
    assert [queue.pull("python", grader_id).body for _ in range(5)] == [f'"{n}"' for n in range(5)]


def test_leased_submission_is_not_delivered(grader_id):
    """C72: a submission under lease is not delivered again."""
    queue.enqueue(new_submission())
    assert queue.pull("python", grader_id)
    assert queue.pull("python", grader_id) is None
    assert queue.queue_length("python") == 0


def test_delivery_after_a_lease_has_a_new_lease_and_key(grader_id):
    """C74: after its lease a submission is delivered with a new pull key and lease."""
    queue.enqueue(new_submission())
    first = queue.pull("python", grader_id)
    end_lease(first.submission_id)
    second = queue.pull("python", grader_id)
    assert second.submission_id == first.submission_id
    assert second.pullkey != first.pullkey
    assert (first.delivery, second.delivery) == (1, 2)
    assert Submission.objects.get().available_at > timezone.now()
    assert Submission.objects.get().grader_id == grader_id
    assert queue.pull("python", grader_id) is None


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda: queue.pull("python", None),
        lambda: supersede.supersede_open(7, COURSE, PROBLEM),
        lambda: Submission.objects.update(status=Status.ANSWERED, available_at=None, due_at=None),
    ],
    ids=["pulled", "superseded", "answered"],
)
def test_submission_that_changes_before_the_claim_is_not_delivered(
    grader_id, meanwhile, monkeypatch
):
    """C72: the claim is for the row as it was read."""
    queue.enqueue(new_submission())
    make_pullkey = queue.secrets.token_urlsafe

    def claim_by_another_grader(size):
        monkeypatch.setattr(queue.secrets, "token_urlsafe", make_pullkey)
        meanwhile()
        return make_pullkey(size)

    monkeypatch.setattr(queue.secrets, "token_urlsafe", claim_by_another_grader)
    assert queue.pull("python", grader_id) is None
    assert Submission.objects.get().grader_id is None


def test_submission_with_an_ended_lease_is_delivered_after_waiting_ones(grader_id):
    """C76: an ended lease does not delay the submissions that are waiting."""
    queue.enqueue(new_submission(body='"slow"'))
    slow = queue.pull("python", grader_id)
    queue.enqueue(new_submission(body='"a"'))
    queue.enqueue(new_submission(body='"b"'))
    end_lease(slow.submission_id)
    assert [queue.pull("python", grader_id).body for _ in range(3)] == ['"a"', '"b"', '"slow"']


def test_lease_seconds_are_those_of_the_queue(grader_id, settings):
    """C78: LEASE_SECONDS is set for all queues, and for one."""
    settings.XQUEUE_BRIDGE = {"LEASE_SECONDS": 60, "QUEUES": {"slow": {"LEASE_SECONDS": 3600}}}
    for queue_name, seconds in (("python", 60), ("slow", 3600)):
        queue.enqueue(new_submission(queue_name))
        queue.pull(queue_name, grader_id)
        row = Submission.objects.get(queue_name=queue_name)
        assert row.available_at - row.leased_at == timedelta(seconds=seconds)


def test_pull_fails_a_submission_after_max_deliveries(grader_id, settings):
    """C77: after MAX_DELIVERIES without a result a submission fails with a failure reply."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 2}
    queue.enqueue(new_submission())
    for _ in range(2):
        end_lease(queue.pull("python", grader_id).submission_id)
    assert queue.pull("python", grader_id) is None
    assert Submission.objects.get().status == Status.FAILED
    assert ReceivedReply.objects.get().source == ReceivedReply.Source.SYSTEM


def test_sweeper_fails_a_submission_after_max_deliveries(grader_id, settings):
    """C77: a submission without deliveries left fails without a pull."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    queue.enqueue(new_submission())
    assert finish.fail_exhausted() == 0
    pulled = queue.pull("python", grader_id)
    assert finish.fail_exhausted() == 0, "its lease has not ended"
    end_lease(pulled.submission_id)
    assert finish.fail_exhausted() == 1
    assert finish.fail_exhausted() == 0
    assert ReceivedReply.objects.count() == 1


@pytest.mark.parametrize("other", ["Python", "pythón"])
def test_queue_names_that_differ_in_case_or_accent_are_two_queues(grader_id, other):
    """C66: also on a database that compares the names as equal."""
    queue.enqueue(new_submission(other))
    assert queue.pull("python", grader_id) is None
    assert queue.queue_length("python") == 0
    assert queue.pull(other, grader_id)


@pytest.mark.parametrize(("everywhere", "here"), [(1, 2), (2, 1)])
def test_max_deliveries_is_that_of_the_queue(grader_id, settings, everywhere, here):
    """C77, C78: the maximum of the queue is used, or else that of all queues."""
    own = {"python": {"MAX_DELIVERIES": here}}
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": everywhere, "QUEUES": own}
    for queue_name, most in (("python", here), ("java", everywhere)):
        queue.enqueue(new_submission(queue_name, queue_key=queue_name))
        for delivery in range(1, most + 1):
            assert finish.fail_exhausted() == 0
            pulled = queue.pull(queue_name, grader_id)
            assert pulled.delivery == delivery
            end_lease(pulled.submission_id)
        assert finish.fail_exhausted() == 1
        assert status_of(queue_name) == Status.FAILED


def test_sweeper_keeps_submissions_with_deliveries_left(grader_id, settings):
    """C77: the end of a lease alone fails no submission; a sweep fails up to its limit."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 2}
    for _ in range(2):
        queue.enqueue(new_submission())
    for deliveries in (1, 2):
        for _ in range(2):
            queue.pull("python", grader_id)
        Submission.objects.update(available_at=timezone.now())
        assert finish.fail_exhausted(limit=1) == deliveries - 1
    assert Submission.objects.filter(status=Status.LEASED).count() == 1


@pytest.mark.parametrize("has_moved", ["an answer", "a new lease"])
def test_submission_that_changes_during_a_sweep_does_not_fail(
    grader_id, settings, has_moved, monkeypatch
):
    """C75, C77: a result that arrives during the sweep counts."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    queue.enqueue(new_submission())
    end_lease(queue.pull("python", grader_id).submission_id)
    queue_options = finish.queue_options

    def move_on(queue_name):
        if has_moved == "an answer":
            Submission.objects.update(status=Status.ANSWERED)
        else:
            Submission.objects.update(available_at=timezone.now() + timedelta(minutes=1))
        return queue_options(queue_name)

    monkeypatch.setattr(finish, "queue_options", move_on)
    assert finish.fail_exhausted() == 0
    assert Submission.objects.get().status != Status.FAILED
    assert not ReceivedReply.objects.exists()


def test_status_failed_and_failure_reply_are_written_together(grader_id, settings, monkeypatch):
    """C77: status and failure reply are written in one transaction."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    queue.enqueue(new_submission())
    end_lease(queue.pull("python", grader_id).submission_id)

    def refuse(submission_id):
        raise DatabaseError

    monkeypatch.setattr(finish.grader_replies, "store_failure_reply", refuse)
    with pytest.raises(DatabaseError):
        finish.fail_exhausted()
    assert Submission.objects.get().status == Status.LEASED


@pytest.mark.django_db(transaction=True)
def test_signal_is_sent_after_the_commit_of_a_failure(grader_id, settings):
    """C77: a receiver that raises changes nothing."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    queue.enqueue(new_submission())
    submission_id = queue.pull("python", grader_id).submission_id
    end_lease(submission_id)

    def fail(**received):
        raise RuntimeError

    submission_failed.connect(fail)
    try:
        with received_signals(submission_failed) as received:
            with transaction.atomic():
                assert finish.fail_exhausted() == 1
                assert received == []
    finally:
        submission_failed.disconnect(fail)
    reason = "delivered too often without a result"
    assert received == [{"submission_id": submission_id, "reason": reason}]


def test_requeued_submission_has_0_deliveries_and_no_pull_key(grader_id, settings):
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    for _ in range(2):
        queue.enqueue(new_submission())
        first = queue.pull("python", grader_id)
    Submission.objects.update(available_at=timezone.now())
    finish.fail_exhausted()
    assert finish.requeue([first.submission_id]) == 1
    row = Submission.objects.get(status=Status.WAITING)
    assert (row.pk, row.finished_at, row.pullkey_digest) == (first.submission_id, None, "")
    assert queue.pull("python", grader_id).delivery == 1


def test_unknown_queue_is_refused_if_queues_are_listed(settings):
    """C11, C27: nothing is stored of the refused submission."""
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True, "QUEUES": {"python": {}}}
    assert queue.enqueue(new_submission("python")) == 1
    with pytest.raises(QueueNotFound, match="Queue 'rust' not found"):
        queue.enqueue(new_submission("rust"))
    assert Submission.objects.count() == SubmissionContent.objects.count() == 1


@pytest.mark.parametrize("name", ["", " ", "q" * 129, "py\u200bthon", "py\xa0thon", "py\nthon"])
def test_queue_name_that_no_grader_can_be_granted_is_refused(name):
    """C11: the same names as in grants, on every database."""
    with pytest.raises(InvalidField, match="^queue_name: "):
        queue.enqueue(new_submission(name))
    assert not SubmissionContent.objects.exists()


@pytest.mark.parametrize("fault", [DatabaseError, SystemExit])
@pytest.mark.parametrize("model", [Submission, SubmissionContent])
def test_failed_enqueue_stores_no_row_and_no_file(model, fault, monkeypatch):
    """C11: after any exception no row and no file is left."""
    before = stored_files()

    def broken(*args, **kwargs):
        raise fault

    monkeypatch.setattr(model.objects, "create", broken)
    with pytest.raises(fault):
        queue.enqueue(new_submission(files=(upload("a.py"), upload("b.py"))))
    assert not SubmissionContent.objects.exists()
    assert not Submission.objects.exists()
    assert stored_files() == before


def test_enqueue_that_breaks_the_callers_transaction_stores_no_file(monkeypatch):
    """C11: the files are deleted, and the database's exception is raised."""
    before = stored_files()

    def broken(*args, **kwargs):
        connection.set_rollback(True)  # as the database's refusal of a row does
        raise DatabaseError("refused")

    monkeypatch.setattr(Submission.objects, "create", broken)
    with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
        queue.enqueue(new_submission(files=(upload("a.py"),)))
    assert not SubmissionContent.objects.exists()
    assert stored_files() == before


def test_submission_is_not_delivered_before_its_files_are_stored(grader_id, monkeypatch):
    """C19: a pull while files are being stored gets nothing."""
    seen = []
    create = SubmissionContent.objects.create

    def poll_first(**values):
        seen.append(queue.pull("python", grader_id))
        content = create(**values)
        seen.append(queue.pull("python", grader_id))
        return content

    monkeypatch.setattr(SubmissionContent.objects, "create", poll_first)
    queue.enqueue(new_submission(files=(upload("a.py"),)))
    assert seen == [None, None]
    assert [file.name for file in queue.pull("python", grader_id).files] == ["a.py"]


def test_both_forms_of_a_pull_return_the_same_content(grader_id, monkeypatch):
    """Body, files and points are the same from one statement and from three."""
    given = new_submission(files=(upload("a.py"),))
    contents = []
    for _ in range(2):
        queue.enqueue(given)
        pulled = queue.pull("python", grader_id)
        contents.append((pulled.body, [file.name for file in pulled.files], pulled.points))
        monkeypatch.setattr(queue, "pull_at_once", lambda *args: (None, False))
    assert contents == [(given.body, ["a.py"], {"loops_2_1": 1})] * 2


def test_pull_fails_if_other_graders_claim_every_row(grader_id, monkeypatch):
    """The oldest is tried first, the others in random order; the number of rounds is bounded.

    The first round reads the oldest only, because mostly no other grader has claimed it.
    """
    tried = []
    monkeypatch.setattr(queue, "pull_at_once", lambda *args: (None, False))
    monkeypatch.setattr(
        portable_pull, "_claim", lambda submission_id, *args: tried.append(submission_id)
    )
    monkeypatch.setattr(portable_pull.random, "shuffle", list.reverse)
    monkeypatch.setattr(portable_pull, "CLAIM_WINDOW", 3)
    for _ in range(4):
        queue.enqueue(new_submission())
    first, second, third, _ = Submission.objects.order_by("pk").values_list("pk", flat=True)
    with pytest.raises(QueueContended):
        queue.pull("python", grader_id)
    assert tried == [first, *[first, third, second] * (portable_pull.CLAIM_ROUNDS - 1)]


def test_answers_of_a_window_are_tried_before_its_regrades():
    """The first row of the window is the first, whatever it is."""
    originals = {1: 9, 2: 9, 3: None, 4: 9, 5: None}
    rows = [(pk, 0, pk, False, False, original) for pk, original in originals.items()]
    tried = [row[0] for row in portable_pull._ordered(rows)]
    assert (tried[0], set(tried[1:3]), set(tried[3:])) == (1, {3, 5}, {2, 4})


class TestSuperseded:
    """A learner submits again while the former submission waits."""

    def test_replaced_submission_is_superseded(self, grader_id):
        """C22: a submission that a newer one replaced is not delivered any more."""
        queue.enqueue(new_submission(queue_key="old"))
        queue.enqueue(new_submission(queue_key="new"))
        supersede.supersede_replaced(7, PROBLEM, {"new"})
        assert (status_of("old"), status_of("new")) == (Status.SUPERSEDED, Status.WAITING)
        assert queue.queue_length("python") == 1

    def test_submissions_of_other_problems_and_learners_are_not_superseded(self):
        """C23: a submission to one problem never supersedes one to another."""
        queue.enqueue(new_submission(queue_key="a", usage_key=OTHER_PROBLEM))
        queue.enqueue(new_submission(queue_key="b", user_id=8))
        queue.enqueue(new_submission(queue_key="c", dispatch=Dispatch.UNGRADED_RESPONSE))
        queue.enqueue(new_submission(queue_key="new"))
        supersede.supersede_replaced(7, PROBLEM, {"new"})
        assert {status_of(key) for key in "abc"} == {Status.WAITING}

    def test_parts_of_one_problem_are_not_superseded(self):
        """C24: the parts of one problem do not supersede one another."""
        queue.enqueue(new_submission(queue_key="part 1"))
        queue.enqueue(new_submission(queue_key="part 2"))
        supersede.supersede_replaced(7, PROBLEM, {"part 1", "part 2"})
        assert status_of("part 1") == status_of("part 2") == Status.WAITING

    def test_submission_whose_key_the_saved_state_released_is_superseded(self, grader_id):
        """C22: after a reset no state waits for it; one that was sent since is not concerned."""
        queue.enqueue(new_submission(queue_key="held"))
        queue.pull("python", grader_id)
        queue.enqueue(new_submission(queue_key="reset"))
        queue.enqueue(new_submission(queue_key="just sent"))
        supersede.supersede_replaced(7, PROBLEM, set(), {"held", "reset"})
        assert [status_of(key) for key in ("held", "reset", "just sent")] == [
            Status.LEASED,
            Status.SUPERSEDED,
            Status.WAITING,
        ]
        Submission.objects.filter(queue_key="held").update(available_at=timezone.now())
        finish.fail_exhausted()
        assert status_of("held") == Status.SUPERSEDED

    def test_submission_whose_state_is_not_saved_is_not_superseded(self):
        """C22: only submissions older than one that the state waits for are superseded."""
        queue.enqueue(new_submission(queue_key="saved"))
        queue.enqueue(new_submission(queue_key="just sent"))
        queue.enqueue(new_submission(queue_key="sent again"))
        supersede.supersede_replaced(7, PROBLEM, {"saved"})
        assert status_of("just sent") == status_of("sent again") == Status.WAITING

    def test_superseded_submission_that_the_state_waits_for_is_offered_again(self, grader_id):
        """C22: the saves of two requests may be in another order than their submissions."""
        queue.enqueue(new_submission(queue_key="first"))
        queue.enqueue(new_submission(queue_key="second"))
        supersede.supersede_replaced(7, PROBLEM, {"second"})
        supersede.supersede_replaced(7, PROBLEM, {"first"})
        assert status_of("first") == Status.WAITING

    def test_submission_superseded_in_its_last_delivery_has_0_deliveries_again(
        self, grader_id, settings
    ):
        """C22, C77: a submission that waits again has 0 deliveries."""
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        queue.enqueue(new_submission(queue_key="first"))
        queue.pull("python", grader_id)
        supersede.supersede_open(7, COURSE, PROBLEM)
        supersede.supersede_replaced(7, PROBLEM, {"first"})
        assert queue.pull("python", grader_id).delivery == 1

    def test_pulled_submission_is_not_superseded(self, grader_id):
        queue.enqueue(new_submission(queue_key="old"))
        queue.pull("python", grader_id)
        queue.enqueue(new_submission(queue_key="new"))
        supersede.supersede_replaced(7, PROBLEM, {"new"})
        assert status_of("old") == Status.LEASED

    @pytest.mark.parametrize(
        ("meanwhile", "status", "is_replaced"),
        [
            (lambda: queue.pull("python", None), Status.LEASED, True),
            (
                lambda: Submission.objects.filter(queue_key="old").update(
                    **finished(Status.ANSWERED)
                ),
                Status.ANSWERED,
                False,
            ),
        ],
        ids=["pulled", "answered"],
    )
    def test_submission_that_changes_meanwhile_is_not_superseded(
        self, meanwhile, status, is_replaced
    ):
        """C22: a submission that is pulled or answered between SELECT and UPDATE stays so."""

        class Keys(set):
            def __contains__(self, key):
                meanwhile()
                return super().__contains__(key)

        queue.enqueue(new_submission(queue_key="old"))
        queue.enqueue(new_submission(queue_key="new"))
        supersede.supersede_replaced(7, PROBLEM, Keys({"new"}))
        old = Submission.objects.get(queue_key="old")
        assert (old.status, old.is_replaced) == (status, is_replaced)


#: Statements of a pull.
PULL = 1 if connection.vendor == "postgresql" else 3


@pytest.mark.django_db(transaction=True)
class TestStatements:
    """Number of statements of each change, BEGIN and COMMIT included."""

    def test_pull_takes_three_statements_or_one(self, grader_id, django_assert_num_queries):
        """PostgreSQL reads, leases and returns a submission with one statement."""
        queue.enqueue(new_submission())
        with django_assert_num_queries(PULL):
            assert queue.pull("python", grader_id)

    def test_pull_of_an_empty_queue_takes_one_statement(self, grader_id, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert queue.pull("python", grader_id) is None

    def test_enqueue_takes_three_statements(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            queue.enqueue(new_submission())

    def test_supersede_takes_two_statements_or_one(self, django_assert_num_queries):
        queue.enqueue(new_submission(queue_key="old"))
        queue.enqueue(new_submission(queue_key="new"))
        with django_assert_num_queries(2):
            supersede.supersede_replaced(7, PROBLEM, {"new"})
        with django_assert_num_queries(1):
            supersede.supersede_replaced(7, PROBLEM, {"new"})

    @pytest.mark.parametrize(
        "older",
        [
            {"status": Status.ANSWERED, "available_at": None, "due_at": None},
            {"status": Status.LEASED, "is_replaced": True},
        ],
    )
    def test_answers_that_are_over_cost_no_statement(self, older, django_assert_num_queries):
        queue.enqueue(new_submission(queue_key="old"))
        Submission.objects.update(**older)
        queue.enqueue(new_submission(queue_key="new"))
        with django_assert_num_queries(1):
            supersede.supersede_replaced(7, PROBLEM, {"new"})


def test_queue_without_a_grant_is_not_found():
    """C99: a queue that was not granted does not exist for a grader."""
    queue.enqueue(new_submission("other"))
    response = make_grader("python").ask("get_submission", queue_name="other")
    assert response == {"return_code": 1, "content": "Queue 'other' not found"}


@pytest.mark.parametrize("name", [" python", "python ", "python\t", "\u2003python"])
def test_white_space_around_a_queue_name_is_ignored(name):
    """C66: at every entry point and on every database."""
    grader = make_grader(name)
    queue.enqueue(new_submission(name))
    assert queue.queue_length("python") == 1
    assert grader.ask("get_queuelen", queue_name=name)["content"] == 1
    assert grader.put(grader.pull("python").header)["return_code"] == 0


class TestReplacedDuringItsLease:
    """A learner submits again while a grader has the former submission."""

    @pytest.fixture(autouse=True)
    def replaced(self, grader_id):
        queue.enqueue(new_submission(queue_key="old"))
        self.pulled = queue.pull("python", grader_id)
        queue.enqueue(new_submission(queue_key="new"))
        supersede.supersede_replaced(7, PROBLEM, {"new"})

    def test_lease_is_not_shortened(self, grader_id):
        """C22, C75: the grader may still return its result."""
        assert status_of("old") == Status.LEASED

    @pytest.mark.parametrize("by", ["pull", "sweeper"])
    def test_replaced_submission_is_not_delivered_after_its_lease(self, grader_id, by):
        """C22: the newer answer is delivered; nothing fails and no failure reply is stored."""
        end_lease(self.pulled.submission_id)
        if by == "sweeper":
            assert finish.fail_exhausted() == 0
            assert status_of("old") == Status.SUPERSEDED
        assert queue.pull("python", grader_id).submission_id != self.pulled.submission_id
        assert queue.pull("python", grader_id) is None
        assert status_of("old") == Status.SUPERSEDED
        assert not ReceivedReply.objects.exists()

    def test_replaced_submission_is_delivered_if_the_state_waits_for_it_again(self, grader_id):
        """C22: the saves of two requests may be in another order than their submissions."""
        supersede.supersede_replaced(7, PROBLEM, {"old"})
        end_lease(self.pulled.submission_id)
        Submission.objects.filter(queue_key="new").delete()
        assert queue.pull("python", grader_id).submission_id == self.pulled.submission_id


class TestMaximumAge:
    def test_old_submission_fails_after_a_delivery_without_result(self, grader_id):
        """C77: MAX_AGE_SECONDS ends the deliveries before MAX_DELIVERIES does."""
        for key in ("pull", "sweeper"):
            queue.enqueue(new_submission(queue_key=key))
        for _ in range(2):
            queue.pull("python", grader_id)
        now = timezone.now()
        Submission.objects.filter(queue_key="pull").update(available_at=now, retry_until=now)
        assert queue.pull("python", grader_id) is None
        Submission.objects.filter(queue_key="sweeper").update(available_at=now, retry_until=now)
        assert finish.fail_exhausted() == 1
        assert status_of("pull") == status_of("sweeper") == Status.FAILED

    def test_old_submission_without_a_delivery_does_not_fail(self, grader_id):
        """C77: no grader has had it."""
        queue.enqueue(new_submission())
        Submission.objects.update(retry_until=timezone.now())
        assert finish.fail_exhausted() == 0
        assert queue.pull("python", grader_id)

    def test_maximum_age_is_that_of_the_queue(self, settings):
        """C78: MAX_AGE_SECONDS is set for all queues, and for one."""
        settings.XQUEUE_BRIDGE = {"MAX_AGE_SECONDS": 60, "QUEUES": {"slow": {"MAX_AGE_SECONDS": 5}}}
        for queue_name, seconds in (("python", 60), ("slow", 5)):
            queue.enqueue(new_submission(queue_name))
            row = Submission.objects.get(queue_name=queue_name)
            assert row.retry_until - row.created_at == timedelta(seconds=seconds)


def test_lease_ends_by_the_database_clock(grader_id, monkeypatch):
    """C66, C76: the database's clock decides; on SQLite it is this process's own."""
    if connection.vendor == "sqlite":
        assert queue.enqueue(new_submission()) == 1
        return
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        queue.enqueue(new_submission())
    assert queue.pull("python", grader_id)
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        assert queue.pull("python", grader_id) is None, "its lease has not ended"


def test_available_counts_reads_all_queues_in_one_statement(django_assert_num_queries, grader_id):
    for number in range(3):
        queue.enqueue(new_submission("python", queue_key=f"a{number}"))
    queue.enqueue(new_submission("other", queue_key="b"))
    assert queue.pull("other", grader_id)
    with django_assert_num_queries(1):
        found = queue.available_counts({"python": 2, "other": 5, "unknown": 1})
    assert found == {"python": 2, "other": 0, "unknown": 0}
    with django_assert_num_queries(2):
        many = queue.available_counts({f"queue {n}": 1 for n in range(150)} | {"python": 9})
    assert many["python"] == 3
    assert sum(many.values()) == 3
    with django_assert_num_queries(0):
        assert queue.available_counts({}) == {}


def test_submission_that_is_given_back_was_not_delivered(django_assert_num_queries, grader_id):
    queue.enqueue(new_submission(queue_key="first"))
    queue.enqueue(new_submission(queue_key="second"))
    pulled = queue.pull("python", grader_id)
    with django_assert_num_queries(1):
        assert queue.give_back(pulled)
    assert not queue.give_back(pulled)
    again = queue.pull("python", grader_id)
    assert (again.submission_id, again.delivery) == (pulled.submission_id, 1)
    assert again.pullkey != pulled.pullkey
    assert not queue.give_back(pulled)  # the lease is another one's
    assert Submission.objects.get(pk=again.submission_id).deliveries == 1
    Submission.objects.filter(pk=again.submission_id).update(**finished(Status.ANSWERED))
    assert not queue.give_back(again)
