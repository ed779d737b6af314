"""The platform's signal that a user is being retired."""

from __future__ import annotations

from django.dispatch import Signal

from xqueue_bridge.lms.project_type import is_lms


def retire_signal() -> Signal | None:
    """Return USER_RETIRE_LMS_MISC, which is sent with ``user``; None outside of an LMS.

    The platform sends it with ``send`` from the view of the retirement pipeline: an exception of a
    receiver makes the view fail, and the pipeline repeats the step.
    """
    if not is_lms():
        return None
    from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC

    return USER_RETIRE_LMS_MISC
