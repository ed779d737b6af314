"""Which grades Credentials wants to know about: the host's rule, asked before one is enqueued."""

from __future__ import annotations

from typing import Protocol

from django.utils.module_loading import import_string
from opaque_keys.edx.keys import LearningContextKey

#: Enrolment modes that end in a certificate, as the platform names them.
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
#: States of a certificate with a grade behind it. Failing ones too: a grade may have sunk.
INTERESTING_STATUSES = frozenset({"downloadable", "notpassing"})


class Interest(Protocol):
    """What ``XQUEUE_BRIDGE["CREDENTIALS"]["GRADE_FILTER"]`` names."""

    def __call__(self, user_id: int, course_key: LearningContextKey) -> bool:
        """Whether Credentials should know this learner's grade in this course."""


def mode_and_status_are_interesting(mode: str | None, status: str | None) -> bool:
    """Return whether the platform would send the grade that belongs to such a certificate.

    None, for a learner without a certificate record, is of no interest.
    """
    return mode in INTERESTING_MODES and status in INTERESTING_STATUSES


def should_send(user_id: int, course_key: LearningContextKey, path: str | None) -> bool:
    """Ask the host's rule at the dotted ``path``; without one, every grade is interesting."""
    if path is None:
        return True
    rule: Interest = import_string(path)
    return bool(rule(user_id, course_key))
