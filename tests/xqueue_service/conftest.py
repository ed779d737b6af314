"""Fixtures of the tests of XQueueService and the transports."""

from collections.abc import Iterator

import pytest

from tests.doubles import xqueue_server


@pytest.fixture
def server(settings) -> Iterator[xqueue_server.XQueueServer]:
    """A legacy XQueue server, which the host's settings name."""
    with xqueue_server.running() as double:
        settings.XQUEUE_INTERFACE = {"url": double.url, "django_auth": double.auth}
        yield double
