"""Plain-text messages that a learner sees when a submission was not sent.

Blocks put these messages into a page without escaping them. They are lazy translations. The English
texts of the first group are the protocol's own, which operators know and search for.
"""

from __future__ import annotations

import re
from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.protocol import headers

NO_CONNECTION = _("cannot connect to server")
NO_RESPONSE = _("failed to read from the server")
UNEXPECTED_STATUS = _("unexpected HTTP status code [{}]")
#: Not translated: it is compared with what the protocol's parser returns.
UNEXPECTED_RESPONSE = headers.UNEXPECTED_RESPONSE
QUEUE_NOT_FOUND = _("Queue '{}' not found")

NO_SERVER = _("no grading server is set up for this course")
NO_LEARNER = _("only a learner who is signed in can send an answer")
TOO_MANY_PENDING = _(
    "your answers to this problem that wait for a grade: {0}; no more are taken until one is graded"
)
NOT_STORED = _("the answer could not be stored")
STOPPED = _("this site does not accept the answer")
ANSWER_TOO_LARGE = _(
    "your answer is too large: it takes {0:,} bytes, and at most {1:,} bytes can be sent. Emoji "
    "and letters with accents take up to 12 bytes each"
)
TOO_MANY_FILES = _("there are {0} files, and at most {1} can be sent")
FILE_TOO_LARGE = _("file {0} is larger than {1:,} bytes")
FILE_NOT_READABLE = _("file {0} could not be read")

#: Shown if a failed send costs no attempt: sending again may succeed.
TRY_AGAIN = _(
    "Your answer was not sent to the grader ({}). Your attempts are unchanged; try again."
)
#: The same if the answer exceeds a limit: sending it again cannot succeed.
CHANGE_ANSWER = _(
    "Your answer was not sent to the grader ({}). Your attempts are unchanged. Change your answer "
    "before you submit again."
)

_MAX_CHARACTERS = 200
#: The URL search is quadratic in the length of a text without spaces, which a server may send.
_CHARACTERS_READ = 2_000
_URL = re.compile(r"\S*://\S*")


def fill(message: Any, *values: object) -> object:
    """Return a message with its values, still to be translated."""
    return format_lazy(message, *values)


def harmless(text: str) -> str:
    """Return foreign text as one short line without markup, URLs or control characters."""
    plain = "".join(
        character if character.isprintable() and character not in "<>&" else " "
        for character in _URL.sub(" ", text[:_CHARACTERS_READ])
    )
    return " ".join(plain.split())[:_MAX_CHARACTERS]
