"""The signals of the platform's retirement pipeline."""

from django.dispatch import Signal

USER_RETIRE_LMS_MISC = Signal()
