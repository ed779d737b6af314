"""With a broker, a worker delivers; without one that answers, the sweeper does."""

from __future__ import annotations

import pytest
from celery.contrib.testing.worker import start_worker

from tests.external_grader.cast import GraderClient
from tests.journeys.conftest import BROKERS, eventually, grade_of, submit
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "redis://127.0.0.1:1/0"


def answer_one(secret: str) -> int:
    learner = submit("key")
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


def test_a_broker_that_is_down(use_broker, secret):
    """C91: without a broker that answers the reply is kept, and the sweeper delivers it."""
    use_broker(NOBODY)
    learner = answer_one(secret)
    assert grade_of(learner) is None
    assert sweep()["delivered"] == 1
    assert grade_of(learner) == 1
