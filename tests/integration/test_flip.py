"""A course is switched forth and back under load; benchmarks/flip.py has the load."""

from __future__ import annotations

import pytest

from benchmarks import flip
from tests.doubles import xqueue_server


@pytest.mark.django_db(transaction=True)
def test_each_submission_has_one_grade_while_its_course_is_switched(live_server, secret, settings):
    """C28: 20 switches during a load on both sides, with graders of both sides."""
    with xqueue_server.running() as legacy:
        legacy.queues.add(flip.QUEUE)
        settings.XQUEUE_INTERFACE = {"url": legacy.url, "django_auth": legacy.auth}
        load = flip.Run(live_server.url, secret, "watcher", submissions=60, flips=20)
        assert flip.run(load, legacy) == []
    assert load.sent["answer"] == 60
