"""Transport that stores submissions in the Submission table, from which graders pull."""

from __future__ import annotations

from collections.abc import Sequence

from xqueue_bridge.data import NewSubmission, Target, UploadedFile, XHeader
from xqueue_bridge.exceptions import QueueNotFound, SendError, TooManyPending
from xqueue_bridge.lms import block as blocks
from xqueue_bridge.lms.block import ProblemBlock
from xqueue_bridge.lms.callback_url import read_dispatch, read_url
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.xqueue_service import messages


class SubmissionsTable:
    """Store the submissions of one block, or of any block if ``block`` is None."""

    def __init__(self, block: ProblemBlock | None = None) -> None:
        self._block = block

    def send(self, header: XHeader, body: str, files: Sequence[UploadedFile]) -> tuple[int, str]:
        """Store one submission and its files; the files are written first."""
        new = NewSubmission(
            target=self._target(header.lms_callback_url),
            queue_name=header.queue_name,
            queue_key=header.queue_key,
            header=header.text,
            body=body,
            points=blocks.answer_points(self._block),
            files=tuple(files),
        )
        try:
            length = submission_queue.enqueue(new)
        except QueueNotFound:
            raise SendError(messages.fill(messages.QUEUE_NOT_FOUND, header.queue_name)) from None
        except TooManyPending as full:
            raise SendError(messages.fill(messages.TOO_MANY_PENDING, full.number)) from None
        return 0, str(length)

    def _target(self, lms_callback_url: str) -> Target:
        if self._block is None:
            return read_url(lms_callback_url)
        return Target(
            user_id=_learner(self._block.scope_ids.user_id),
            course_key=blocks.course_key(self._block),
            usage_key=blocks.usage_key(self._block),
            dispatch=read_dispatch(lms_callback_url),
        )


def _learner(user_id: object) -> int:
    """Return the learner's user id; raise if the user is anonymous."""
    text = str(user_id)
    if not (text.isascii() and text.isdecimal()):
        raise SendError(messages.NO_LEARNER)
    return int(text)
