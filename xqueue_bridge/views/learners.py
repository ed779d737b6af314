"""Courses and learners that the grade pages show, looked up by the parts of a URL."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import Http404
from django.utils.translation import gettext as _
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.course_structure.store import course_structures
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.lms.users import find_user, user_id_of, users_by_id

MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Learner:
    """A learner on a grade page; ``username`` is "" for a deleted account."""

    user_id: int
    username: str
    full_name: str

    @property
    def name(self) -> str:
        """The full name or username, or a text with the id if neither is known."""
        return self.full_name or self.username or _("user %(id)s") % {"id": self.user_id}


def course_or_404(course_id: str) -> Course:
    """Return the course with this key; raise Http404 if no structure of it is published."""
    if len(course_id) <= MAX_KEY_LENGTH and options().COURSE_STRUCTURE_BACKEND:
        try:
            course = course_structures().get(CourseKey.from_string(course_id))
        except (InvalidKeyError, ValueError):
            course = None
        if course is not None:
            return course
    raise Http404(_("Course not found, or its structure is not published."))


def learner_or_404(user_id: int) -> Learner:
    """Return the learner with this user id; raise Http404 if no user has it."""
    user = find_user(user_id)
    if user is None:
        raise Http404(_("User not found."))
    return _learner(user)


def learners_by_id(user_ids: Collection[int]) -> list[Learner]:
    """Return the learners with these ids, in their order; one statement for each ``BATCH_SIZE``."""
    found: dict[int, AbstractBaseUser] = {}
    for chunk in chunks(user_ids):
        found |= users_by_id(chunk)
    return [_learner(found[each]) if each in found else Learner(each, "", "") for each in user_ids]


def user_id_from(text: str) -> int:
    """Return the user id that a search field names by username or id; -1 for an unknown name."""
    found = user_id_of(text)
    if found is None and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return -1 if found is None else found


def _learner(user: AbstractBaseUser) -> Learner:
    full_name = getattr(user, "get_full_name", str)()
    return Learner(user.pk, user.get_username(), full_name)
