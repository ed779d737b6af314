"""The host's filter for submissions, before a transport gets them."""

from __future__ import annotations

from collections.abc import Sequence

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.data import UploadedFile, XHeader
from xqueue_bridge.exceptions import FilterStopped, SendError
from xqueue_bridge.lms import block as blocks
from xqueue_bridge.lms import filters
from xqueue_bridge.lms.block import ProblemBlock
from xqueue_bridge.lms.callback_url import read_url
from xqueue_bridge.protocol.headers import make_xheader, parse_xheader
from xqueue_bridge.xqueue_service import messages
from xqueue_bridge.xqueue_service.transports.base import check_body


def filter_submission(
    header: XHeader,
    body: str,
    files: Sequence[UploadedFile],
    block: ProblemBlock | None = None,
) -> tuple[XHeader, str]:
    """Return header and body after the host's steps, unchanged if it has configured none.

    Without a block, the header's callback URL says whose answer it is. Raise SendError with the
    step's reason if one refuses, or InvalidField if the steps have made the submission invalid.
    """
    if not filters.is_configured(filters.SUBMISSION):
        return header, body
    user_id, course_key, usage_key = _learner_and_block(header, block)
    try:
        queue_name, changed = filters.filter_submission(
            user_id=user_id,
            course_key=course_key,
            usage_key=usage_key,
            dispatch=header.lms_callback_url.rpartition("/")[2],
            queue_name=header.queue_name,
            body=body,
            file_names=tuple(file.name for file in files),
        )
    except FilterStopped as stop:
        raise SendError(messages.harmless(str(stop)) or messages.STOPPED) from None
    if queue_name != header.queue_name:
        text = make_xheader(header.lms_callback_url, header.queue_key, queue_name)
        header = parse_xheader(text)
    return header, body if changed == body else check_body(changed)


def _learner_and_block(
    header: XHeader, block: ProblemBlock | None
) -> tuple[object, LearningContextKey, UsageKey]:
    if block is not None:
        return block.scope_ids.user_id, blocks.course_key(block), blocks.usage_key(block)
    target = read_url(header.lms_callback_url)
    return target.user_id, target.course_key, target.usage_key
