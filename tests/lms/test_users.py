"""Look-ups of users, by id and by username."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from xqueue_bridge.lms import users

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def test_known_user_is_found_by_id_and_by_username(ada, django_assert_num_queries) -> None:
    with django_assert_num_queries(6):
        assert users.user_exists(ada.pk)
        assert users.find_user(ada.pk) == ada
        assert users.get_user(ada.pk) == ada
        assert users.username_of(ada.pk) == "ada"
        assert users.user_id_of("ada") == ada.pk
        assert users.user_ids_of(["ada", "bob"]) == {"ada": ada.pk}


def test_unknown_user_is_none(ada) -> None:
    assert not users.user_exists(ada.pk + 1)
    assert users.find_user(ada.pk + 1) is None
    assert users.username_of(ada.pk + 1) is None
    assert users.user_id_of("bob") is None
    with pytest.raises(User.DoesNotExist):
        users.get_user(ada.pk + 1)


def test_users_by_id_executes_one_statement(django_assert_num_queries) -> None:
    everyone = [User.objects.create_user(f"u{number}") for number in range(5)]
    with django_assert_num_queries(1):
        found = users.users_by_id([user.pk for user in everyone])
    assert found == {user.pk: user for user in everyone}


def test_selected_user_id_is_a_subquery(ada, django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        assert User.objects.get(pk__in=users.select_user_id("ada")) == ada
