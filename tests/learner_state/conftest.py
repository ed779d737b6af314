"""Fixtures: a learner."""

import pytest
from django.contrib.auth import get_user_model


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def committed_ada(transactional_db):
    return get_user_model().objects.create_user("ada")
