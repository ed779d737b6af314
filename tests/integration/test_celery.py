"""A Celery worker applies replies; if the broker does not respond, the sweeper does."""

from __future__ import annotations

import pytest
from celery.contrib.testing.worker import start_worker

from tests.integration.conftest import BROKERS, eventually, grade_of, submit
from tests.submission_queue.factories import GraderClient
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

NO_BROKER = "redis://127.0.0.1:1/0"


def answer_one(secret: str, queue_key: str = "key") -> int:
    learner = submit(queue_key)
    grader = GraderClient(secret)
    grader.login()
    assert grader.put(grader.pull().header) == {"return_code": 0, "content": ""}
    return learner


@pytest.mark.celery_broker
@pytest.mark.parametrize("broker", BROKERS)
def test_worker_applies_a_stored_reply(broker, use_broker, secret):
    """C90, C91: the grader's request only stores the reply; a Celery worker applies it."""
    app = use_broker(BROKERS[broker])
    learner = answer_one(secret)
    assert grade_of(learner) is None
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20):
        assert eventually(lambda: grade_of(learner) == 1, seconds=20)
    assert eventually(lambda: ReceivedReply.objects.get().status == "applied")


def test_sweeper_applies_replies_if_the_broker_is_down(use_broker, secret, monkeypatch, caplog):
    """C91, SG44: replies stay stored while the broker is down, and the sweeper applies them.

    No process listens at the broker's port. A failed connection takes seconds: one is tried.
    """
    app = use_broker(NO_BROKER)
    sent = []
    send_task = app.send_task
    monkeypatch.setattr(app, "send_task", lambda *a, **k: sent.append(a) or send_task(*a, **k))
    learners = [answer_one(secret, f"key {number}") for number in range(3)]
    assert [grade_of(learner) for learner in learners] == [None] * 3
    assert sweep()["replies applied"] == 3
    assert [grade_of(learner) for learner in learners] == [1] * 3
    assert len(sent) == 1
    assert caplog.text.count("left to the sweeper") == 1


@pytest.mark.celery_broker
@pytest.mark.parametrize(
    ("broker", "kind"),
    [
        ("amqp://guest:wrong-secret@127.0.0.1:5672//", "AccessRefused"),
        ("amqp://guest:guest@127.0.0.1:5672/wrong-secret", "NotAllowed"),
        ("redis://unknown:wrong-secret@127.0.0.1:6379/15", "AuthenticationError"),
        ("wrong-secret://127.0.0.1", "KeyError"),
    ],
)
def test_sweeper_applies_replies_if_the_broker_rejects_the_login(
    use_broker, secret, caplog, broker, kind
):
    """C91, SG44: a wrong password, virtual host or scheme counts as a broker that is down."""
    use_broker(broker)
    learners = [answer_one(secret, f"key {number}") for number in range(2)]
    assert [grade_of(learner) for learner in learners] == [None] * 2
    assert sweep()["replies applied"] == 2
    assert [grade_of(learner) for learner in learners] == [1] * 2
    assert caplog.text.count(f"({kind}): work is left to the sweeper") == 1
    assert "wrong-secret" not in caplog.text
    assert "after the response failed" not in caplog.text
