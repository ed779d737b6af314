"""Spans of OpenTelemetry, for hosts that have it installed; without it, nothing is added.

A span has the fields of log records as attributes, with the prefix ``xqueue_bridge.``, so it
contains no learner's text or secret. ``docs/references/log_records.rst`` lists the spans.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from xqueue_bridge.log_fields import LogFields

P = ParamSpec("P")
T = TypeVar("T")


def traced(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function: each call is the span ``xqueue_bridge.<name>``.

    A span whose function raises has the status ERROR with the exception's class. The message is
    left out, because it can quote a learner's text.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        trace = _opentelemetry_trace()
        if trace is None:
            return function
        tracer = trace.get_tracer("xqueue_bridge")

        @wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            with tracer.start_as_current_span(
                f"xqueue_bridge.{name}", record_exception=False, set_status_on_exception=False
            ) as span:
                try:
                    return function(*args, **kwargs)
                except Exception as exc:
                    span.set_status(trace.StatusCode.ERROR, type(exc).__name__)
                    raise

        return wrapped

    return decorate


def annotate(fields: LogFields) -> None:
    """Add fields to the current span."""
    trace = _opentelemetry_trace()
    if trace is not None and (span := trace.get_current_span()).is_recording():
        span.set_attributes(_attributes(fields))


def add_event(name: str, fields: LogFields) -> None:
    """Add an event to the current span, which may concern several submissions."""
    trace = _opentelemetry_trace()
    if trace is not None and (span := trace.get_current_span()).is_recording():
        span.add_event(f"xqueue_bridge.{name}", _attributes(fields))


@cache
def _opentelemetry_trace() -> Any:
    """Return OpenTelemetry's module ``trace``; None if it is not installed."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace


def _attributes(fields: LogFields) -> dict[str, int | str]:
    known = {name: value for name, value in fields.items() if value is not None}
    return {
        f"xqueue_bridge.{name}": value if isinstance(value, int) else str(value)
        for name, value in known.items()
    }
