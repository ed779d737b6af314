"""What a learner reads of a reply: feedback, notice and table of tests, in the active language."""

from __future__ import annotations

from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from xqueue_bridge.data import GraderReply
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK
from xqueue_bridge.grader_replies.graded_tests import TableTexts, table_of
from xqueue_bridge.protocol.codes import Code

#: Ends feedback that was too long.
SHORTENED_MESSAGE = gettext_lazy("The feedback was too long. This is its beginning.")


def learner_message(reply: GraderReply) -> str:
    """Return the feedback, with a notice if it was too long, and with the table of its tests."""
    message = reply.msg
    if any(each.code == Code.FEEDBACK_SHORTENED for each in reply.warnings):
        message += f'<div class="external-grader-shortened">{escape(SHORTENED_MESSAGE)}</div>'
    if not reply.tests:
        return message
    texts = TableTexts(
        caption=_("Tests"),
        test=_("Test"),
        points=_("Points"),
        of=_("%(score)s of %(maximum)s"),
        message=_("Message"),
        hidden=_("Tests that are not shown: %(count)d"),
    )
    return ("" if message == NO_FEEDBACK else message) + table_of(reply.tests, texts)
