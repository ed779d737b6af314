"""enqueue, pull, fail_exhausted and supersede_open, with the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from tests.grader_replies.factories import heard
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
from xqueue_bridge.exceptions import QueueContended, QueueNotFound
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.signals import submission_failed
from xqueue_bridge.submission_queue import finish, queue
from xqueue_bridge.submission_queue.models import Grader, Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def grader_id() -> int:
    return Grader.objects.create(name="watcher").pk


def end_lease(submission_id: int) -> None:
    Submission.objects.filter(pk=submission_id).update(available_at=timezone.now())


def status_of(queue_key: str) -> str:
    return Submission.objects.get(queue_key=queue_key).status


def test_what_goes_in_comes_out(grader_id):
    """C13: the body reaches the grader byte for byte."""
    body = '{"b": 1,  "a":"é\\u0000\U0001f40d",\n"unknown": [null]}'
    assert queue.enqueue(new_submission(body=body)) == 1
    pulled = queue.pull("python", grader_id)
    assert pulled.body == body
    assert pulled.files == ()


def test_length_counts_this_one_and_those_before(grader_id):
    assert [queue.enqueue(new_submission(queue_key=str(n))) for n in range(3)] == [1, 2, 3]
    assert queue.enqueue(new_submission("other")) == 1


def test_the_length_has_a_limit_and_may_be_unknown(monkeypatch):
    """C11: what is in the queue was accepted, though it could not be counted."""
    monkeypatch.setattr(queue, "LENGTH_LIMIT", 2)
    assert [queue.enqueue(new_submission(queue_key=str(n))) for n in range(3)] == [1, 2, 2]

    def unknown(*args):
        raise DatabaseError

    monkeypatch.setattr(queue, "_available", unknown)
    assert queue.enqueue(new_submission(queue_key="uncounted")) == 1
    assert status_of("uncounted") == Status.WAITING


def test_oldest_first(grader_id):
    """C71: submissions are delivered in the order of arrival, also those of the same time."""
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


def test_each_delivery_is_a_new_lease(grader_id):
    """C74: after its lease a submission is served again, with a new key and a new lease."""
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
        lambda: finish.supersede_open(7, COURSE, PROBLEM),
        lambda: Submission.objects.update(status=Status.ANSWERED, available_at=None),
    ],
    ids=["pulled", "superseded", "answered"],
)
def test_changed_candidate_is_not_delivered(grader_id, meanwhile, monkeypatch):
    """C72: a claim is good for what was looked at, and for nothing else."""
    queue.enqueue(new_submission())
    make_pullkey = queue.secrets.token_urlsafe

    def claim_by_another_grader(size):
        monkeypatch.setattr(queue.secrets, "token_urlsafe", make_pullkey)
        meanwhile()
        return make_pullkey(size)

    monkeypatch.setattr(queue.secrets, "token_urlsafe", claim_by_another_grader)
    assert queue.pull("python", grader_id) is None
    assert Submission.objects.get().grader_id is None


def test_an_expired_one_goes_behind_those_that_waited(grader_id):
    """C76: an expired submission does not delay the ones that are waiting."""
    queue.enqueue(new_submission(body='"slow"'))
    slow = queue.pull("python", grader_id)
    queue.enqueue(new_submission(body='"a"'))
    queue.enqueue(new_submission(body='"b"'))
    end_lease(slow.submission_id)
    assert [queue.pull("python", grader_id).body for _ in range(3)] == ['"a"', '"b"', '"slow"']


def test_leases_are_set_for_each_queue(grader_id, settings):
    """C78: the length of a lease is set for all queues, and for one."""
    settings.XQUEUE_BRIDGE = {"LEASE_SECONDS": 60, "QUEUES": {"slow": {"LEASE_SECONDS": 3600}}}
    for queue_name, seconds in (("python", 60), ("slow", 3600)):
        queue.enqueue(new_submission(queue_name))
        queue.pull(queue_name, grader_id)
        row = Submission.objects.get(queue_name=queue_name)
        assert row.available_at - row.leased_at == timedelta(seconds=seconds)


def test_too_many_deliveries_fail_with_a_notice(grader_id, settings):
    """C77: after MAX_DELIVERIES without a result a submission fails with a failure reply."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 2}
    queue.enqueue(new_submission())
    for _ in range(2):
        end_lease(queue.pull("python", grader_id).submission_id)
    assert queue.pull("python", grader_id) is None
    assert Submission.objects.get().status == Status.FAILED
    assert ReceivedReply.objects.get().source == ReceivedReply.Source.SYSTEM


def test_sweeper_fails_submissions_of_queues_without_graders(grader_id, settings):
    """C77: exhausted submissions fail without a poll."""
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
def test_queues_are_told_apart_by_each_character(grader_id, other):
    """C66: on hosts whose database takes the names for one, too."""
    queue.enqueue(new_submission(other))
    assert queue.pull("python", grader_id) is None
    assert queue.queue_length("python") == 0
    assert queue.pull(other, grader_id)


@pytest.mark.parametrize(("everywhere", "here"), [(1, 2), (2, 1)])
def test_the_sweeper_minds_each_queue(grader_id, settings, everywhere, here):
    """C77, C78: the number of deliveries is that of the queue, or else of all queues."""
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
    """C77: the end of a lease alone fails nothing; and one sweep does as much as it is told."""
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
def test_a_submission_that_changed_meanwhile_does_not_fail(
    grader_id, settings, has_moved, monkeypatch
):
    """C75, C77: a result that comes while the sweeper looks is the one that counts."""
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
    """C77: status and notice are written together, or not at all."""
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
def test_the_host_hears_of_a_failure(grader_id, settings):
    """C77: once it is committed; a receiver that raises changes nothing."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    queue.enqueue(new_submission())
    submission_id = queue.pull("python", grader_id).submission_id
    end_lease(submission_id)

    def fail(**received):
        raise RuntimeError

    submission_failed.connect(fail)
    try:
        with heard(submission_failed) as received:
            with transaction.atomic():
                assert finish.fail_exhausted() == 1
                assert received == []
    finally:
        submission_failed.disconnect(fail)
    reason = "delivered too often without a result"
    assert received == [{"submission_id": submission_id, "reason": reason}]


def test_requeue_starts_afresh(grader_id, settings):
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


def test_only_listed_queues(settings):
    """C11, C27: an unknown queue is refused where queues are listed; nothing is left behind."""
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True, "QUEUES": {"python": {}}}
    assert queue.enqueue(new_submission("python")) == 1
    with pytest.raises(QueueNotFound, match="Queue 'rust' not found"):
        queue.enqueue(new_submission("rust"))
    assert Submission.objects.count() == SubmissionContent.objects.count() == 1


@pytest.mark.parametrize("fault", [DatabaseError, SystemExit])
@pytest.mark.parametrize("model", [Submission, SubmissionContent])
def test_a_failed_enqueue_leaves_nothing(model, fault, monkeypatch):
    """C11: whatever fails, no row and no file is left."""
    before = stored_files()

    def broken(*args, **kwargs):
        raise fault

    monkeypatch.setattr(model.objects, "create", broken)
    with pytest.raises(fault):
        queue.enqueue(new_submission(files=(upload("a.py"), upload("b.py"))))
    assert not SubmissionContent.objects.exists()
    assert not Submission.objects.exists()
    assert stored_files() == before


def test_an_enqueue_that_breaks_its_callers_transaction(monkeypatch):
    """C11: the files go, and the fault stays the database's own."""
    before = stored_files()

    def broken(*args, **kwargs):
        connection.set_rollback(True)  # as the database's refusal of a row does
        raise DatabaseError("refused")

    monkeypatch.setattr(Submission.objects, "create", broken)
    with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
        queue.enqueue(new_submission(files=(upload("a.py"),)))
    assert not SubmissionContent.objects.exists()
    assert stored_files() == before


def test_never_published_without_its_files(grader_id, monkeypatch):
    """C19: a grader that polls while files are being stored gets nothing yet."""
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


def test_others_were_always_faster(grader_id, monkeypatch):
    """The oldest is tried first, the others in no fixed order, and there is an end to it."""
    tried = []
    monkeypatch.setattr(queue, "_claim", lambda submission_id, *args: tried.append(submission_id))
    monkeypatch.setattr(queue.random, "shuffle", list.reverse)
    monkeypatch.setattr(queue, "CLAIM_WINDOW", 3)
    for _ in range(4):
        queue.enqueue(new_submission())
    first, second, third, _ = Submission.objects.order_by("pk").values_list("pk", flat=True)
    with pytest.raises(QueueContended):
        queue.pull("python", grader_id)
    assert tried == [first, third, second] * queue.CLAIM_ROUNDS


class TestSuperseded:
    """A learner answers again while the former answer waits."""

    def test_the_replaced_answer_is_superseded(self, grader_id):
        """C22: a submission that a newer answer replaced is not handed to graders any more."""
        queue.enqueue(new_submission(queue_key="old"))
        queue.enqueue(new_submission(queue_key="new"))
        finish.supersede_replaced(7, PROBLEM, {"new"})
        assert (status_of("old"), status_of("new")) == (Status.SUPERSEDED, Status.WAITING)
        assert queue.queue_length("python") == 1

    def test_other_problems_and_learners_stay(self):
        """C23: an answer to one problem never supersedes an answer to another."""
        queue.enqueue(new_submission(queue_key="a", usage_key=OTHER_PROBLEM))
        queue.enqueue(new_submission(queue_key="b", user_id=8))
        queue.enqueue(new_submission(queue_key="c", dispatch=Dispatch.UNGRADED_RESPONSE))
        queue.enqueue(new_submission(queue_key="new"))
        finish.supersede_replaced(7, PROBLEM, {"new"})
        assert {status_of(key) for key in "abc"} == {Status.WAITING}

    def test_parts_of_one_problem_stay(self):
        """C24: the parts of one problem do not supersede one another."""
        queue.enqueue(new_submission(queue_key="part 1"))
        queue.enqueue(new_submission(queue_key="part 2"))
        finish.supersede_replaced(7, PROBLEM, {"part 1", "part 2"})
        assert status_of("part 1") == status_of("part 2") == Status.WAITING

    def test_an_answer_whose_state_is_not_saved_yet_stays(self):
        """C22: only what is older than an answer that the state waits for is superseded."""
        queue.enqueue(new_submission(queue_key="saved"))
        queue.enqueue(new_submission(queue_key="just sent"))
        queue.enqueue(new_submission(queue_key="sent again"))
        finish.supersede_replaced(7, PROBLEM, {"saved"})
        assert status_of("just sent") == status_of("sent again") == Status.WAITING

    def test_requests_that_crossed(self, grader_id):
        """C22: a superseded submission that the state waits for after all is offered again."""
        queue.enqueue(new_submission(queue_key="first"))
        queue.enqueue(new_submission(queue_key="second"))
        finish.supersede_replaced(7, PROBLEM, {"second"})
        finish.supersede_replaced(7, PROBLEM, {"first"})
        assert status_of("first") == Status.WAITING

    def test_superseded_during_its_last_delivery(self, grader_id, settings):
        """C22, C77: a submission that waits again has 0 deliveries."""
        settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
        queue.enqueue(new_submission(queue_key="first"))
        queue.pull("python", grader_id)
        finish.supersede_open(7, COURSE, PROBLEM)
        finish.supersede_replaced(7, PROBLEM, {"first"})
        assert queue.pull("python", grader_id).delivery == 1

    def test_a_pulled_one_is_left_to_its_grader(self, grader_id):
        queue.enqueue(new_submission(queue_key="old"))
        queue.pull("python", grader_id)
        queue.enqueue(new_submission(queue_key="new"))
        finish.supersede_replaced(7, PROBLEM, {"new"})
        assert status_of("old") == Status.LEASED

    def test_one_that_is_pulled_meanwhile(self, grader_id):
        """C22: what a grader got between the look and the change is left to it."""

        class Keys(set):
            def __contains__(self, key):
                queue.pull("python", grader_id)
                return super().__contains__(key)

        queue.enqueue(new_submission(queue_key="old"))
        queue.enqueue(new_submission(queue_key="new"))
        finish.supersede_replaced(7, PROBLEM, Keys({"new"}))
        assert status_of("old") == Status.LEASED


@pytest.mark.django_db(transaction=True)
class TestStatements:
    """What each change costs, BEGIN and COMMIT included."""

    def test_pull(self, grader_id, django_assert_num_queries):
        queue.enqueue(new_submission())
        with django_assert_num_queries(3):
            assert queue.pull("python", grader_id)

    def test_empty_poll(self, grader_id, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert queue.pull("python", grader_id) is None

    def test_enqueue(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            queue.enqueue(new_submission())

    def test_settle(self, django_assert_num_queries):
        queue.enqueue(new_submission(queue_key="old"))
        queue.enqueue(new_submission(queue_key="new"))
        with django_assert_num_queries(2):
            finish.supersede_replaced(7, PROBLEM, {"new"})
        with django_assert_num_queries(1):
            finish.supersede_replaced(7, PROBLEM, {"new"})


def test_make_grader_pulls_for_its_own_queue_only():
    """C99: a queue that was not granted does not exist for a grader."""
    queue.enqueue(new_submission("other"))
    answer = make_grader("python").ask("get_submission", queue_name="other")
    assert answer == {"return_code": 1, "content": "Queue 'other' not found"}


@pytest.mark.parametrize("name", [" python", "python ", "python\t", "\u2003python"])
def test_white_space_around_a_queue_name_is_ignored(name):
    """C66: at every entry point and on every database, also on those that pad with spaces."""
    grader = make_grader(name)
    queue.enqueue(new_submission(name))
    assert queue.queue_length("python") == 1
    assert grader.ask("get_queuelen", queue_name=name)["content"] == 1
    assert grader.put(grader.pull("python").header)["return_code"] == 0


class TestReplacedDuringItsLease:
    """A learner corrects an answer while a grader holds the former one."""

    @pytest.fixture(autouse=True)
    def replaced(self, grader_id):
        queue.enqueue(new_submission(queue_key="old"))
        self.pulled = queue.pull("python", grader_id)
        queue.enqueue(new_submission(queue_key="new"))
        finish.supersede_replaced(7, PROBLEM, {"new"})

    def test_its_grader_may_still_answer(self, grader_id):
        """C22, C75: the lease is not shortened."""
        assert status_of("old") == Status.LEASED

    @pytest.mark.parametrize("by", ["pull", "sweeper"])
    def test_it_is_not_delivered_after_its_lease(self, grader_id, by):
        """C22: the newer answer is delivered; nothing fails and no failure reply is stored."""
        end_lease(self.pulled.submission_id)
        if by == "sweeper":
            assert finish.fail_exhausted() == 0
            assert status_of("old") == Status.SUPERSEDED
        assert queue.pull("python", grader_id).submission_id != self.pulled.submission_id
        assert queue.pull("python", grader_id) is None
        assert status_of("old") == Status.SUPERSEDED
        assert not ReceivedReply.objects.exists()

    def test_it_is_delivered_if_the_state_waits_for_it_again(self, grader_id):
        """C22: two requests crossed."""
        finish.supersede_replaced(7, PROBLEM, {"old"})
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

    def test_old_submission_without_a_delivery_waits_on(self, grader_id):
        """C77: no grader has had it."""
        queue.enqueue(new_submission())
        Submission.objects.update(retry_until=timezone.now())
        assert finish.fail_exhausted() == 0
        assert queue.pull("python", grader_id)

    def test_maximum_age_is_set_for_each_queue(self, settings):
        """C78: the bridge's own, or the queue's."""
        settings.XQUEUE_BRIDGE = {"MAX_AGE_SECONDS": 60, "QUEUES": {"slow": {"MAX_AGE_SECONDS": 5}}}
        for queue_name, seconds in (("python", 60), ("slow", 5)):
            queue.enqueue(new_submission(queue_name))
            row = Submission.objects.get(queue_name=queue_name)
            assert row.retry_until - row.created_at == timedelta(seconds=seconds)


def test_host_whose_clock_is_ahead(grader_id, monkeypatch):
    """C66, C76: the database's clock decides; on SQLite it is this process's own."""
    if connection.vendor == "sqlite":
        assert queue.enqueue(new_submission()) == 1
        return
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        queue.enqueue(new_submission())
    assert queue.pull("python", grader_id)
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        assert queue.pull("python", grader_id) is None, "its lease has not ended"
