"""Work that waits until a grader has its answer."""

import json
import logging
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import HttpResponse

from xqueue_bridge.grader_api.responses import Envelope, failure, success
from xqueue_bridge.worker.enqueue import defer_jobs, run_after_response, run_together


def test_outside_it_runs_at_once():
    done = []
    run_after_response(lambda: done.append(1))
    assert done == [1]


def test_inside_it_waits():
    done = []
    with defer_jobs() as jobs:
        run_after_response(lambda: done.append(1))
        assert done == []
    run_together(jobs)
    assert done == [1]
    run_after_response(lambda: done.append(2))
    assert done == [1, 2]


def test_failed_job_does_not_stop_the_others(caplog):
    done = []

    def fails():
        raise RuntimeError("learner's secret")

    with caplog.at_level(logging.WARNING):
        run_together([fails, lambda: done.append(1)])
    assert done == [1]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


@pytest.fixture
def _connections_stay_open() -> Iterator[None]:
    """What Django does at the end of a request is no business of a test without a database."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


@pytest.mark.usefixtures("_connections_stay_open")
def test_an_envelope_runs_its_jobs_when_it_is_closed():
    """C90: a grader has its answer before anything is done with its reply."""
    done = []
    envelope = success().render()
    assert isinstance(envelope, HttpResponse)
    envelope.jobs = [lambda: done.append(envelope.content)]
    assert done == []
    envelope.close()
    assert done == [b'{"return_code": 0, "content": ""}']


def test_envelopes():
    """C54: an envelope holds exactly return_code and content, with status 200."""
    for envelope in (Envelope(7), success("x"), failure("y", ValueError("field: reason"))):
        envelope.render()
        assert envelope.status_code == 200
        assert set(json.loads(envelope.content)) == {"return_code", "content"}
    assert envelope["X-XQueue-Problem"] == "field: reason"
