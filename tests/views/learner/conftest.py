"""Fixture: a learner who is logged in."""

import pytest
from django.contrib.auth.models import User

from tests.grader_replies.factories import make_learner


@pytest.fixture
def ada(client) -> User:
    user = User.objects.get(pk=make_learner("ada"))
    client.force_login(user)
    return user
