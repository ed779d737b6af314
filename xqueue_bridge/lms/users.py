"""Look-ups of the host's users, by id and by username.

Usernames are read from the user model's ``USERNAME_FIELD``. Every function executes one statement,
unless its docstring gives another number.
"""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Manager, QuerySet


def username_field() -> str:
    """Return the name of the user model's field with the username; no statement."""
    return get_user_model().USERNAME_FIELD


def user_exists(user_id: int) -> bool:
    """Return whether a user has this id."""
    return _users().filter(pk=user_id).exists()


def find_user(user_id: int) -> AbstractBaseUser | None:
    """Return the user with this id, or None."""
    return _users().filter(pk=user_id).first()


def get_user(user_id: int) -> AbstractBaseUser:
    """Return the user with this id. Raises the user model's ``DoesNotExist``."""
    return _users().get(pk=user_id)


def users_by_id(user_ids: Collection[int]) -> dict[int, AbstractBaseUser]:
    """Return the users with these ids, by id; the caller limits how many ids there are."""
    return _users().in_bulk(user_ids)


def username_of(user_id: int) -> str | None:
    """Return the username of this user id, or None if no user has it."""
    return _users().filter(pk=user_id).values_list(username_field(), flat=True).first()


def user_id_of(username: str) -> int | None:
    """Return the id of this username, or None if no user has it."""
    return select_user_id(username).first()


def user_ids_of(usernames: Collection[str]) -> dict[str, int]:
    """Return the ids of these usernames, by username; unknown usernames are missing."""
    rows = _users().filter(**{f"{username_field()}__in": usernames})
    return dict(rows.values_list(username_field(), "pk"))


def select_user_id(username: str) -> QuerySet[AbstractBaseUser, int]:
    """Return a queryset of the id of this username, to be used as a subquery; no statement."""
    return _users().filter(**{username_field(): username}).values_list("pk", flat=True)


def _users() -> Manager[AbstractBaseUser]:
    # Not ``objects``, which a host's user model may rename.
    return get_user_model()._default_manager
