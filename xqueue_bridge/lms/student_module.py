"""The platform's rows of learner state, of which only the queue keys that wait are read."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Model

from xqueue_bridge.lms import capa
from xqueue_bridge.lms.project_type import is_lms
from xqueue_bridge.protocol.fields import read_json

_MODEL = ("courseware", "StudentModule")
#: In the state of each problem with an answer that waits for a grader, and in few others.
_WAITING = '"queuestate": {'
#: In the state of a problem that the learner has reset, and of one without a checked answer.
_NO_ANSWER = '"correct_map": {}'


def student_module() -> type[Model] | None:
    """Return the platform's model StudentModule; None outside of an LMS."""
    if not is_lms():
        return None
    try:
        return apps.get_model(*_MODEL)
    except LookupError:
        return None


def waiting_keys(row: Any) -> frozenset[str]:
    """Return the queue keys that a row of StudentModule waits for; none if it is not a problem's.

    Called for each state that the platform saves, so most are not parsed.
    """
    text = row.state
    if not isinstance(text, str) or _WAITING not in text:
        return frozenset()
    try:
        state = read_json(text)
    except ValueError:
        return frozenset()
    return capa.waiting_keys(state) if isinstance(state, dict) else frozenset()


def has_no_answer(row: Any) -> bool:
    """Return whether a row of StudentModule is a problem's, without a checked answer."""
    return isinstance(row.state, str) and _NO_ANSWER in row.state
