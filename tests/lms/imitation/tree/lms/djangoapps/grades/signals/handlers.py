"""The platform's receiver of the event about an external grader's score, as in 2026."""

from __future__ import annotations

import json

from common.djangoapps.student.models import user_by_anonymous_id
from django.dispatch import receiver
from opaque_keys.edx.keys import CourseKey
from openedx_events.learning.signals import EXTERNAL_GRADER_SCORE_SUBMITTED

from lms.djangoapps.courseware.block_render import load_single_xblock


@receiver(EXTERNAL_GRADER_SCORE_SUBMITTED)
def handle_external_grader_score(signal, sender, score, **kwargs):
    data = {
        "xqueue_header": json.dumps({"lms_key": str(score.submission_id)}),
        "xqueue_body": score.score_msg,
        "queuekey": score.queue_key,
    }
    course_key = CourseKey.from_string(score.course_id)
    user = user_by_anonymous_id(score.user_id)
    instance = load_single_xblock(None, user.pk, str(course_key), score.module_id)
    instance.handle_ajax("score_update", data)
    instance.save()
