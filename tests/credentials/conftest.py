"""A Credentials service for every test of the package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.credentials.factories import enqueue as enqueue_grade
from tests.credentials.factories import make_learner, store_grade
from tests.doubles.credentials import Credentials, running
from xqueue_bridge.credentials import tokens
from xqueue_bridge.option_groups import CredentialsOptions


@pytest.fixture
def credentials(settings, monkeypatch) -> Iterator[Credentials]:
    """The service, and a host that is configured for it and has no token yet."""
    monkeypatch.setattr(tokens, "_tokens", {})
    with running() as service:
        settings.XQUEUE_BRIDGE = {"CREDENTIALS": service.settings}
        yield service


@pytest.fixture
def service(credentials) -> CredentialsOptions:
    """Return the host's settings of that service."""
    return CredentialsOptions(**credentials.settings)


@pytest.fixture
def ada(transactional_db, credentials) -> int:
    """Return the id of a learner whose grade is enqueued, and not sent."""
    learner = make_learner("ada")
    store_grade(learner, 0.8)
    enqueue_grade(learner)
    return learner
