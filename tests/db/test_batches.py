"""Many rows, a few at a time."""

import pytest
from django.contrib.auth import get_user_model

from xqueue_bridge.db.batches import id_batches

pytestmark = pytest.mark.django_db


@pytest.fixture
def users():
    get_user_model().objects.bulk_create(get_user_model()(username=f"u{n}") for n in range(7))
    return get_user_model().objects.all()


def test_every_row_once_in_order(users, django_assert_num_queries):
    """By key; the last statement finds that there are no more."""
    with django_assert_num_queries(4):
        found = list(id_batches(users.order_by("-username"), 3))
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert [pk for batch in found for pk in batch] == sorted(user.pk for user in users)


def test_rows_that_go_while_it_runs_hide_no_others(users):
    """A batch begins after a key, and not at an offset."""
    met = []
    for batch in id_batches(users, 2):
        met += batch
        users.filter(pk__in=batch).delete()
    assert len(met) == 7
    assert not users.exists()


def test_no_rows(users):
    assert list(id_batches(users.none())) == []
