"""Exceptions of the bridge. The docstring is the default message."""

from __future__ import annotations


class XQueueBridgeError(Exception):
    """The XQueue bridge failed."""

    def __init__(self, message: object = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class InvalidField(XQueueBridgeError):
    """A value that came from outside does not have the required form.

    ``field`` is its name on the wire, ``reason`` a sentence without the value itself: values
    can be learners' work or secrets, and messages reach logs. ``code`` is one of
    ``protocol.codes.Code``.
    """

    def __init__(self, field: str, reason: object, code: str = "field_invalid") -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.code = str(code)

    def __str__(self) -> str:
        # At each call, because a reason for learners is a lazy translation.
        return f"{self.field}: {self.reason}"


class InvalidHeader(InvalidField):
    """An xqueue_header does not have the required form."""


class LimitExceeded(InvalidField):
    """A learner's answer exceeds a limit, so sending it again would fail again.

    ``reason`` is the complete message for the learner, possibly a lazy translation.
    """

    def __str__(self) -> str:
        return str(self.reason)


class InvalidReply(InvalidField):
    """A grader's reply does not have the required form."""


class SendError(XQueueBridgeError):
    """The submission could not be stored.

    The message is shown to the learner: plain text, possibly a lazy translation.
    """


class QueueNotFound(XQueueBridgeError):
    """The queue is not one of XQUEUE_BRIDGE["QUEUES"]."""


class TooManyPending(XQueueBridgeError):
    """The learner has as many pending answers to the problem as MAX_PENDING_ANSWERS allows."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class QueueContended(XQueueBridgeError):
    """Other graders took every item that was looked at."""


class FilterStopped(XQueueBridgeError):
    """A filter of the host has stopped a submission or a result.

    The message is the step's reason for the learner.
    """


class EventNotStored(XQueueBridgeError):
    """The result in an event could not be stored now; the sender may repeat it."""


class RequestRefused(XQueueBridgeError):
    """A grader's request is refused.

    The message is the protocol's own wording; the cause is an InvalidField where some field
    is to blame, else ``code`` says why.
    """

    def __init__(self, message: str = "", code: str = "") -> None:
        super().__init__(message)
        self.code = str(code)


class TransientApplyError(XQueueBridgeError):
    """The reply could not be applied now; a later attempt may succeed."""


class PermanentApplyError(XQueueBridgeError):
    """The reply cannot be applied; a retry will not help."""


class RetirementUnfinished(XQueueBridgeError):
    """Some of the learner's files could not be removed; run the retirement again."""


class InvalidCourse(InvalidField, ValueError):
    """A course structure or grading policy is not usable; ``field`` names file and element."""


class CourseTooLarge(InvalidCourse):
    """The files of a course reference each other in a cycle, or are too many."""
