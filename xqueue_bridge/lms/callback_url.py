"""Build and parse the LMS callback URL of a learner's block. Pure.

<prefix>/courses/<course key>/xqueue/<user id>/<usage key>/<dispatch>
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from opaque_keys import InvalidKeyError, OpaqueKey
from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.exceptions import InvalidField, InvalidHeader
from xqueue_bridge.protocol.fields import is_valid_text

LONGEST_KEY = 255

Key = TypeVar("Key", bound=OpaqueKey)

#: A course key is one segment, or three if deprecated; a deprecated usage key has many.
PATTERN = (
    r"courses/(?P<course_id>[^/]+|[^/]+/[^/]+/[^/]+)"
    r"/xqueue/(?P<userid>[^/]*)/(?P<mod_id>.*?)/(?P<dispatch>[^/]*)"
)
_URL = re.compile(rf"/{PATTERN}\Z", re.DOTALL)
_USER_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
# Characters that Django's reverse() does not quote in a path.
_UNQUOTED = "!$&'()*+,;=/~:@"


def build_path(
    course_key: LearningContextKey, user_id: object, usage_key: UsageKey, dispatch: str
) -> str:
    """Return the path of the URL, quoted like Django's reverse()."""
    return quote(f"/courses/{course_key}/xqueue/{user_id}/{usage_key}/{dispatch}", safe=_UNQUOTED)


def read_url(url: str) -> Target:
    """Return the learner's block that a callback URL refers to; raise InvalidHeader."""
    match = _URL.search(url)
    if match is None:
        raise InvalidHeader("lms_callback_url", "is not a callback URL of the LMS")
    try:
        return read_parts(**{name: unquote(part) for name, part in match.groupdict().items()})
    except InvalidField as exc:
        raise InvalidHeader("lms_callback_url", str(exc)) from None


def read_dispatch(url: str) -> Dispatch:
    """Return the dispatch at the end of a callback URL; raise InvalidHeader."""
    try:
        return _dispatch(url.rpartition("/")[2])
    except InvalidField as exc:
        raise InvalidHeader("lms_callback_url", str(exc)) from None


def read_parts(course_id: str, userid: str, mod_id: str, dispatch: str) -> Target:
    """Return the learner's block that the parts of a callback URL refer to.

    Raise InvalidField with the part's name in the LMS's URL pattern.
    """
    course_key, usage_key = parse_block_key(course_id, mod_id)
    if not _USER_ID.fullmatch(userid):
        raise InvalidField("userid", "is not a user id")
    return Target(int(userid), course_key, usage_key, _dispatch(dispatch))


def parse_block_key(course_id: str | None, mod_id: str) -> tuple[LearningContextKey, UsageKey]:
    """Return context key and usage key; if ``course_id`` is None, the usage key's own context."""
    usage_key = _key(UsageKey.from_string, mod_id, "mod_id")
    if course_id is not None:
        course_key = _key(LearningContextKey.from_string, course_id, "course_id")
    elif getattr(usage_key.context_key, "run", "") is None:
        raise InvalidField("course_id", "is missing: the block's key does not name its run")
    else:
        course_key = usage_key.context_key
    return course_key, _placed(usage_key, course_key)


def _dispatch(text: str) -> Dispatch:
    try:
        return Dispatch(text)
    except ValueError:
        raise InvalidField("dispatch", f"is none of {', '.join(Dispatch)}") from None


def _key(parse: Callable[[str], Key], text: str, part: str) -> Key:
    if len(text) > LONGEST_KEY or not is_valid_text(text):
        raise InvalidField(part, "is longer than a key can be, or not text")
    try:
        return parse(text)
    except (InvalidKeyError, ValueError):
        raise InvalidField(part, "is not a key") from None


def _placed(usage_key: UsageKey, course_key: LearningContextKey) -> UsageKey:
    """Return the usage key in this course; a deprecated key does not contain its run."""
    context_key: Any = usage_key.context_key
    if isinstance(course_key, CourseKey) and getattr(context_key, "run", "") is None:
        if (context_key.org, context_key.course) == (course_key.org, course_key.course):
            return usage_key.map_into_course(course_key)
    elif context_key == course_key:
        return usage_key
    raise InvalidField("mod_id", "is a block of another course")
