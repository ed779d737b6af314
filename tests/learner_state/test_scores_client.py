"""Reading a learner's scores at many blocks with ``ScoresClient``."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import CourseKey, UsageKey

from tests.doubles.xblocks import COURSE, make_block, usage_key
from xqueue_bridge import api
from xqueue_bridge.learner_state.fields.data_cache import FieldDataCache
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.scores.client import ScoresClient

pytestmark = pytest.mark.django_db

SUMS, PRIMES, LOOPS = (usage_key(f"problem-{name}") for name in ("sums", "primes", "loops"))


def score(learner, location, grade, max_grade):
    api.set_score(learner.pk, location.context_key, location, grade, max_grade)


def test_score_is_read_with_points_maximum_and_time(ada):
    score(ada, SUMS, 3, 4)
    client = ScoresClient.create_for_locations(COURSE, ada.pk, [SUMS, PRIMES])
    row = StudentModule.objects.get()
    assert client.get(SUMS) == ScoresClient.Score(correct=3, total=4, created=row.created)
    assert SUMS in client
    assert client.get(PRIMES) is None
    assert PRIMES not in client


def test_get_before_fetch_is_an_error(ada):
    """SG53: raise an error that names the course, instead of returning no score."""
    client = ScoresClient(COURSE, ada.pk)
    with pytest.raises(ValueError, match="CS101"):
        client.get(SUMS)
    client.fetch_scores([])
    assert client.get(SUMS) is None


@pytest.mark.parametrize("many", [1, 5, 500, 501, 2500])
def test_fetch_takes_one_statement_for_1_to_2500_blocks(ada, many, django_assert_num_queries):
    """SG53: read the scores of any number of blocks with one statement."""
    score(ada, SUMS, 1, 1)
    score(ada, LOOPS, 1, 1)
    locations = [usage_key(f"problem-{n}") for n in range(many - 1)] + [SUMS]
    client = ScoresClient(COURSE, ada.pk)
    with django_assert_num_queries(1):
        client.fetch_scores(locations)
    assert client.get(SUMS).total == 1
    assert LOOPS not in client, "it was not asked for"


def test_second_fetch_keeps_the_scores_of_the_first(ada):
    score(ada, SUMS, 1, 1)
    score(ada, PRIMES, 2, 2)
    client = ScoresClient(COURSE, ada.pk)
    client.fetch_scores([SUMS])
    client.fetch_scores([PRIMES])
    assert (client.get(SUMS).total, client.get(PRIMES).total) == (1, 2)


def test_branch_and_version_are_ignored(ada):
    score(ada, SUMS, 1, 1)
    draft = SUMS.for_branch("draft-branch").for_version("519665f6223ebd6980884f2b")
    client = ScoresClient.create_for_locations(COURSE, ada.pk, [draft])
    assert client.get(SUMS) == client.get(draft) is not None
    assert draft in client


def test_state_without_score_has_no_points(ada):
    api.save_fields(ada.pk, COURSE, SUMS, {"seed": 1})
    client = ScoresClient.create_for_locations(COURSE, ada.pk, [SUMS])
    assert client.get(SUMS)[:2] == (None, None)


def test_scores_of_another_learner_are_not_read(ada):
    score(get_user_model().objects.create_user("bo"), SUMS, 1, 1)
    assert ScoresClient.create_for_locations(COURSE, ada.pk, [SUMS]).get(SUMS) is None


def test_deprecated_key_reads_the_score_of_its_run(ada):
    course = CourseKey.from_string("DemoX/CS101/2015")
    location = UsageKey.from_string("i4x://DemoX/CS101/problem/sums").map_into_course(course)
    score(ada, location, 2, 3)
    client = ScoresClient.create_for_locations(course, ada.pk, [location])
    assert client.get(location).correct == 2
    other_run = CourseKey.from_string("DemoX/CS101/2016")
    there = location.map_into_course(other_run)
    assert ScoresClient.create_for_locations(other_run, ada.pk, [there]).get(there) is None


def test_scores_of_a_field_data_caches_blocks_take_one_statement(ada, django_assert_num_queries):
    score(ada, SUMS, 3, 4)
    cache = FieldDataCache([], COURSE, ada)
    blocks = [make_block(ada, cache, name) for name in ("problem-sums", "poll-lunch")]
    cache.add_blocks_to_cache(blocks)
    with django_assert_num_queries(1):
        client = ScoresClient.from_field_data_cache(cache)
    assert client.get(SUMS).correct == 3
