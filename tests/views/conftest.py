"""Fixtures: a published course, a learner, a member of the course team, and an operator."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.course_grades.conftest import ada, by_workers, committed_ada, committed_course, course
from tests.submission_queue.factories import COURSE
from xqueue_bridge.lms.course_staff import group_name

__all__ = ["ada", "by_workers", "committed_ada", "committed_course", "course"]


@pytest.fixture
def tea(db) -> User:
    """Return a member of the course team, who is no staff of the host."""
    user = User.objects.create(username="tea", first_name="Tea", last_name="Cher")
    user.groups.add(Group.objects.create(name=group_name(COURSE)))
    return user


@pytest.fixture
def team(client, tea) -> Client:
    client.force_login(tea)
    return client


@pytest.fixture
def operator(client) -> User:
    user = User.objects.create(username="operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="operate_queues"))
    client.force_login(user)
    return user
