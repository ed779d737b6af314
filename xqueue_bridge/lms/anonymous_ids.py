"""The platform's table of anonymous ids, by which edx-submissions names learners."""

from __future__ import annotations

import re

_USER_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


def find_user_id(anonymous_id: str) -> int | None:
    """Return the id of the user with this anonymous id; None if there is none.

    Raise ImportError outside of the platform.
    """
    from common.djangoapps.student.models import AnonymousUserId

    found = AnonymousUserId.objects.filter(anonymous_user_id=anonymous_id)
    return found.values_list("user_id", flat=True).first()


def find_learner(text: str) -> int | None:
    """Return the id of the user with this anonymous id; outside of the platform, the id itself."""
    try:
        return find_user_id(text)
    except ImportError:
        return int(text) if _USER_ID.fullmatch(text) else None
