"""The platform's table of anonymous ids, by which edx-submissions names learners."""

from __future__ import annotations


def find_user_id(anonymous_id: str) -> int | None:
    """Return the id of the user with this anonymous id; None if there is none.

    Raise ImportError outside of the platform.
    """
    from common.djangoapps.student.models import AnonymousUserId

    found = AnonymousUserId.objects.filter(anonymous_user_id=anonymous_id)
    return found.values_list("user_id", flat=True).first()
