"""Filters of openedx-filters that the bridge runs, for pipeline steps to import.

Needs the extra ``openedx``. The bridge imports this module only if OPEN_EDX_FILTERS_CONFIG names
one of the filters; ``lms/filters.py`` runs them.
"""

from __future__ import annotations

from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.tooling import OpenEdxPublicFilter


class ExternalGraderSubmissionRequested(OpenEdxPublicFilter):
    """A learner's answer is about to be stored for graders, or sent to a legacy XQueue server.

    Steps may change ``queue_name`` and ``body``, or raise PreventSubmission.
    """

    filter_type = "org.openedx.xqueue_bridge.submission.requested.v1"

    class PreventSubmission(OpenEdxFilterException):
        """Refuse the submission; ``message`` is the reason that the learner reads."""

    @classmethod
    def run_filter(cls, **submission: object) -> dict[str, object]:
        """Run the pipeline and return its result."""
        return super().run_pipeline(**submission)


class ExternalGraderResultReceived(OpenEdxPublicFilter):
    """A grader's result has arrived, and is about to be stored.

    Steps may change ``correct``, ``score`` and ``msg``, or raise PreventResult.
    """

    filter_type = "org.openedx.xqueue_bridge.result.received.v1"

    class PreventResult(OpenEdxFilterException):
        """Do not apply the result; ``message`` is the reason that the learner reads."""

    @classmethod
    def run_filter(cls, **result: object) -> dict[str, object]:
        """Run the pipeline and return its result."""
        return super().run_pipeline(**result)
