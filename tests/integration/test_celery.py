"""With a broker, a worker delivers; without one that answers, the sweeper does."""

from __future__ import annotations

import pytest
from celery.contrib.testing.worker import start_worker

from tests.integration.conftest import BROKERS, eventually, grade_of, submit
from tests.submission_queue.factories import GraderClient
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "redis://127.0.0.1:1/0"


def answer_one(secret: str, queue_key: str = "key") -> int:
    learner = submit(queue_key)
    grader = GraderClient(secret)
    grader.login()
    assert grader.put(grader.pull().header) == {"return_code": 0, "content": ""}
    return learner


@pytest.mark.celery_broker
@pytest.mark.parametrize("broker", BROKERS)
def test_a_worker_delivers(broker, use_broker, secret):
    """C90, C91: the grader's request only stores the reply; a worker brings it to the learner."""
    app = use_broker(BROKERS[broker])
    learner = answer_one(secret)
    assert grade_of(learner) is None
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20):
        assert eventually(lambda: grade_of(learner) == 1, seconds=20)
    assert eventually(lambda: ReceivedReply.objects.get().status == "applied")


def test_a_broker_that_is_down(use_broker, secret, monkeypatch, caplog):
    """C91, SG44: without a broker that answers replies are kept, and the sweeper delivers them.

    Nobody listens at its port; finding that out takes seconds, and is done once.
    """
    app = use_broker(NOBODY)
    asked = []
    send_task = app.send_task
    monkeypatch.setattr(app, "send_task", lambda *a, **k: asked.append(a) or send_task(*a, **k))
    learners = [answer_one(secret, f"key {number}") for number in range(3)]
    assert [grade_of(learner) for learner in learners] == [None] * 3
    assert sweep()["replies delivered"] == 3
    assert [grade_of(learner) for learner in learners] == [1] * 3
    assert len(asked) == 1
    assert caplog.text.count("left to the sweeper") == 1


@pytest.mark.celery_broker
@pytest.mark.parametrize(
    ("broker", "kind"),
    [
        ("amqp://guest:wrong-secret@127.0.0.1:5672//", "AccessRefused"),
        ("amqp://guest:guest@127.0.0.1:5672/wrong-secret", "NotAllowed"),
        ("redis://nobody:wrong-secret@127.0.0.1:6379/15", "AuthenticationError"),
        ("wrong-secret://127.0.0.1", "KeyError"),
    ],
)
def test_a_broker_that_refuses_us(use_broker, secret, caplog, broker, kind):
    """C91, SG44: a wrong password, or another wrong address, is to us a broker that is down."""
    use_broker(broker)
    learners = [answer_one(secret, f"key {number}") for number in range(2)]
    assert [grade_of(learner) for learner in learners] == [None] * 2
    assert sweep()["replies delivered"] == 2
    assert [grade_of(learner) for learner in learners] == [1] * 2
    assert caplog.text.count(f"({kind}): work is left to the sweeper") == 1
    assert "wrong-secret" not in caplog.text
    assert "after the response failed" not in caplog.text
