"""Many rows, a few at a time."""

import pytest
from django.contrib.auth import get_user_model

from xqueue_bridge.db.batches import by_key, chunks, id_batches

pytestmark = pytest.mark.django_db


@pytest.fixture
def users():
    get_user_model().objects.bulk_create(get_user_model()(username=f"u{n}") for n in range(7))
    return get_user_model().objects.all()


def test_every_row_once_in_order(users, django_assert_num_queries):
    """7 rows in batches of 3 by key: three statements; the last batch is short."""
    with django_assert_num_queries(3):
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


@pytest.mark.parametrize(
    ("count", "lengths"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])]
)
def test_chunks_have_all_items_in_order(count, lengths):
    found = list(chunks(iter(range(count)), 3))
    assert [len(chunk) for chunk in found] == lengths
    assert [item for chunk in found for item in chunk] == list(range(count))


def test_no_rows(users):
    assert list(id_batches(users.none())) == []


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_instances_tuples_and_keys(users, size):
    """Each kind of result is continued after its own key."""
    names = sorted(user.username for user in users)
    found = [user.username for batch in by_key(users, "username", size) for user in batch]
    assert found == names
    rows = users.values_list("username", "pk")
    assert [name for batch in by_key(rows, "username", size) for name, _ in batch] == names
    keys = users.values_list("username", flat=True)
    assert [name for batch in by_key(keys, "username", size) for name in batch] == names
