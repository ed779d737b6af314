"""Spans of OpenTelemetry: the steps of a submission, and none of a learner's text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.grader_replies.factories import make_learner
from tests.regrading.factories import submit
from tests.submission_queue.factories import make_grader
from tests.test_log_records import ANSWER, BAD, FEEDBACK, GOOD, submit_text, unapplied_reply
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.tracing import traced

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    exporter.shutdown()


@pytest.fixture
def spans(exporter: InMemorySpanExporter, settings) -> InMemorySpanExporter:
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "REDELIVERY_BACKOFF": 0}
    exporter.clear()
    return exporter


def text_of(span: ReadableSpan) -> str:
    return span.to_json()


def names_of(exporter: InMemorySpanExporter, submission_id: int) -> list[str]:
    """Return the spans that are about a submission, or have an event about it."""
    key = "xqueue_bridge.submission_id"
    return [
        span.name.removeprefix("xqueue_bridge.")
        for span in exporter.get_finished_spans()
        if any((part.attributes or {}).get(key) == submission_id for part in (span, *span.events))
    ]


def test_steps_of_a_submission_are_spans_with_its_id(spans) -> None:
    number = submit_text(make_learner())
    grader = make_grader("python")
    assert grader.put(grader.pull().header, BAD)["return_code"] == 1
    assert grader.put(grader.pull().header, GOOD)["return_code"] == 0
    expected = ["enqueue", "pull", "put_result", "pull", "put_result", "apply_reply"]
    assert sorted(names_of(spans, number)) == sorted(expected)
    refused = [span for span in spans.get_finished_spans() if not span.status.is_ok]
    failed = [s for s in refused if s.status.status_code is trace.StatusCode.ERROR]
    assert [span.status.description for span in failed] == ["RequestRefused"]


def test_span_has_no_text_of_the_learner(spans) -> None:
    submit_text(make_learner())
    grader = make_grader("python")
    header = grader.pull().header
    grader.put(header, BAD)
    grader.put(grader.pull().header, GOOD)
    for span in spans.get_finished_spans():
        assert ANSWER not in text_of(span)
        assert FEEDBACK not in text_of(span)


def test_batch_is_one_span_with_an_event_for_each_reply(spans) -> None:
    numbers = [unapplied_reply(submit(make_learner(f"learner {n}"))) for n in range(3)]
    grader_replies.apply_due()
    batches = [s for s in spans.get_finished_spans() if s.name == "xqueue_bridge.apply_batch"]
    assert len(batches) == 1
    found = [dict(event.attributes or {}) for event in batches[0].events]
    assert [each["xqueue_bridge.submission_id"] for each in found] == numbers


def test_error_is_named_without_its_message(spans) -> None:
    @traced("test")
    def fail() -> None:
        raise ValueError(ANSWER)

    with pytest.raises(ValueError, match=ANSWER):
        fail()
    [span] = spans.get_finished_spans()
    assert (span.status.description, span.events) == ("ValueError", ())
    assert ANSWER not in text_of(span)


def test_nothing_is_added_without_opentelemetry() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from xqueue_bridge import tracing\n"
        "function = lambda: 7\n"
        "assert tracing.traced('test')(function) is function\n"
        "tracing.annotate({'submission_id': 1}); tracing.add_event('applied', {})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
