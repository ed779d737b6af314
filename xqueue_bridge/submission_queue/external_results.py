"""Results that edx-submissions announces with EXTERNAL_GRADER_SCORE_SUBMITTED."""

from __future__ import annotations

import logging
from typing import Any

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.exceptions import EventNotStored, InvalidField
from xqueue_bridge.lms.anonymous_ids import find_learner
from xqueue_bridge.lms.callback_url import build_path, parse_block_key
from xqueue_bridge.protocol.fields import text_field
from xqueue_bridge.protocol.headers import make_xheader, parse_xheader
from xqueue_bridge.submission_queue import legacy

log = logging.getLogger(__name__)


def receive_score(score: Any) -> None:
    """Store the result in an ExternalGraderScoreData; it is applied after the commit.

    The same event twice, and a result for a submission that graders pull from our table, change
    nothing. Raise EventNotStored if a repetition may help: the transaction of edx-submissions is
    then rolled back, and its grader may post the result again.
    """
    try:
        target = _target(score)
        path = build_path(target.course_key, target.user_id, target.usage_key, target.dispatch)
        header = parse_xheader(make_xheader(path, score.queue_key, score.queue_name))
        body = text_field({"score_msg": score.score_msg}, "score_msg")
    except InvalidField as exc:
        log.warning("An event of an external grader is ignored: %s", exc)
        return
    receipt = legacy.receive(target, header, body, source="event")
    if receipt.status == 503:
        raise EventNotStored(receipt.text)
    if receipt.status != 200:
        log.warning("An event of an external grader is ignored: %s", receipt.text)


def _target(score: Any) -> Target:
    course_key: LearningContextKey
    usage_key: UsageKey
    course_key, usage_key = parse_block_key(score.course_id, score.module_id)
    user_id = find_learner(score.user_id)
    if user_id is None:
        raise InvalidField("user_id", "is no learner's id")
    return Target(user_id, course_key, usage_key, Dispatch.SCORE_UPDATE)
