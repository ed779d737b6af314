"""Filter that decides which grades are sent to Credentials."""

from __future__ import annotations

from typing import Protocol

from django.utils.module_loading import import_string
from opaque_keys.edx.keys import LearningContextKey

#: Enrolment modes that end in a certificate, with the platform's names.
INTERESTING_MODES = frozenset(
    {
        "credit",
        "executive-education",
        "masters",
        "no-id-professional",
        "professional",
        "verified",
    }
)
#: Certificate statuses that go with a grade. Failing ones too: a grade may have dropped.
INTERESTING_STATUSES = frozenset({"downloadable", "notpassing"})


class GradeFilter(Protocol):
    """The function that ``XQUEUE_BRIDGE["CREDENTIALS"]["GRADE_FILTER"]`` names."""

    def __call__(self, user_id: int, course_key: LearningContextKey) -> bool:
        """Return whether to send this learner's grade in this course."""


def mode_and_status_are_interesting(mode: str | None, status: str | None) -> bool:
    """Return whether the platform would send a grade with this certificate mode and status.

    None, for a learner without a certificate record, returns False.
    """
    return mode in INTERESTING_MODES and status in INTERESTING_STATUSES


def should_send(user_id: int, course_key: LearningContextKey, path: str | None) -> bool:
    """Return the result of the filter at the dotted ``path``; True without a filter."""
    if path is None:
        return True
    rule: GradeFilter = import_string(path)
    return bool(rule(user_id, course_key))
