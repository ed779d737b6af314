"""Reading the fields of one learner at many blocks in advance, and writing them."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection
from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.exceptions import InvalidScopeError, KeyValueMultiSaveError, XBlockSaveError
from xblock.fields import BlockScope, Scope, ScopeIds, UserScope

from tests.doubles.xblocks import COURSE, make_block, usage_key
from xqueue_bridge import api
from xqueue_bridge.learner_state.fields.data_cache import (
    FieldDataCache,
    WrongLearner,
    scores_or_children,
)
from xqueue_bridge.learner_state.fields.key_value_store import FieldKey
from xqueue_bridge.learner_state.fields.models import (
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from xqueue_bridge.learner_state.models import StudentModule

SUMS, POLL = usage_key("problem-sums"), usage_key("poll-lunch")


def key_of(user, field_name, scope="user_state", group=None):
    """Return the key of a field of the poll, or of ``group``."""
    groups = {"user_state": POLL, "user_state_summary": POLL, "preferences": "poll"}
    user_id = None if scope == "user_state_summary" else user.pk
    group = group or groups.get(scope)
    return FieldKey(getattr(Scope, scope), user_id, group, field_name)


def keys_of_every_scope(user):
    return {
        key_of(user, "choice"): "soup",
        key_of(user, "counts", "user_state_summary"): {"soup": 1},
        key_of(user, "speed", "preferences"): 2,
        key_of(user, "language", "user_info"): "eo",
    }


def cache_of(user, *names, **kwargs):
    """Return a cache to which the named blocks are added."""
    cache = FieldDataCache([], COURSE, user, **kwargs)
    cache.add_blocks_to_cache([make_block(user, cache, name) for name in names])
    return cache


def test_fields_of_every_scope_are_read_by_a_new_cache(ada):
    written = keys_of_every_scope(ada)
    elsewhere = {
        key_of(ada, "counts", "user_state_summary", usage_key("poll-other")): 1,
        key_of(ada, "speed", "preferences", "problem"): 1,
    }
    cache_of(ada, "poll-lunch").set_many(written | elsewhere)
    cache = cache_of(ada, "poll-lunch")
    for key, value in written.items():
        assert cache.has(key)
        assert cache.get(key) == value
        assert cache.last_modified(key).utcoffset() is not None
    assert len(cache) == 4


def test_key_with_the_name_of_a_scope_is_accepted(ada):
    """SG86: accept a key that names its scope, without XBlock."""
    cache = cache_of(ada, "poll-lunch")
    cache.set(FieldKey("preferences", ada.pk, "poll", "speed"), 3)
    assert cache.get(key_of(ada, "speed", "preferences")) == 3


class TestStatements:
    """Statements of reads and writes."""

    @pytest.mark.parametrize("many", [1, 40])
    def test_blocks_take_one_statement_for_each_scope_in_use(
        self, ada, many, django_assert_num_queries
    ):
        """SG24: polls use four scopes, problems one, pages none, for any number of blocks."""
        cache = FieldDataCache([], COURSE, ada)
        polls = [make_block(ada, cache, f"poll-{n}") for n in range(many)]
        problems = [make_block(ada, cache, f"problem-{n}") for n in range(many)]
        pages = [make_block(ada, cache, f"page-{n}") for n in range(many)]
        for blocks, statements in [(polls, 4), (problems, 1), (pages, 0), (polls + problems, 4)]:
            with django_assert_num_queries(statements):
                FieldDataCache(blocks, COURSE, ada)

    def test_2500_blocks_take_at_most_ten_statements(self, ada, django_assert_max_num_queries):
        """SG25: stay within the number of parameters that each database accepts."""
        values = {
            key_of(ada, "field", scope, group=usage_key(f"poll-{n}")): n
            for scope in ("user_state", "user_state_summary")
            for n in range(2500)
        }
        cache_of(ada).set_many(values)
        every_field = make_block(ada, None, "poll-lunch").fields
        blocks = [
            SimpleNamespace(
                scope_ids=ScopeIds(ada.pk, "poll", None, usage_key(f"poll-{n}")),
                entry_point="xblock.v1",
                fields=every_field,
            )
            for n in range(2500)
        ]
        with django_assert_max_num_queries(10):
            cache = FieldDataCache(blocks, COURSE, ada)
        assert {key: cache.get(key) for key in values} == values

    def test_cached_fields_are_read_without_a_statement(self, ada, django_assert_num_queries):
        """Take no statement for a field that exists, nor for one that does not."""
        cache_of(ada, "poll-lunch").set_many(keys_of_every_scope(ada))
        cache = cache_of(ada, "poll-lunch", "problem-sums")
        with django_assert_num_queries(0):
            for key in keys_of_every_scope(ada):
                cache.get(key)
                cache.last_modified(key)
            assert not cache.has(key_of(ada, "attempts", group=SUMS))
            assert not cache.has(key_of(ada, "total", "user_state_summary", group=SUMS))

    def test_block_that_was_not_added_is_read_once(self, ada, django_assert_num_queries):
        """Read its state with one statement, once."""
        api.save_fields(ada.pk, COURSE, SUMS, {"attempts": 3})
        cache = cache_of(ada, "poll-lunch")
        with django_assert_num_queries(1):
            assert cache.get(key_of(ada, "attempts", group=SUMS)) == 3
            assert not cache.has(key_of(ada, "answers", group=SUMS))

    def test_added_block_is_not_read_again(self, ada, django_assert_num_queries):
        cache = FieldDataCache([], COURSE, ada)
        blocks = [make_block(ada, cache, name) for name in ("problem-a", "problem-b")]
        cache.add_blocks_to_cache(blocks[:1])
        with django_assert_num_queries(1):
            cache.add_blocks_to_cache(blocks)
        with django_assert_num_queries(0):
            cache.add_blocks_to_cache(blocks)

    @pytest.mark.parametrize("many", [1, 30])
    @pytest.mark.parametrize("scope", ["user_state_summary", "preferences", "user_info"])
    def test_set_many_takes_one_insert_for_any_number_of_fields(
        self, committed_ada, scope, many, django_assert_num_queries
    ):
        """BEGIN, one INSERT that updates existing rows, COMMIT; on the first write and later."""
        cache = cache_of(committed_ada, "poll-lunch")
        values = {key_of(committed_ada, f"field {n}", scope): n for n in range(many)}
        for _ in range(2):
            with django_assert_num_queries(3):
                cache.set_many(values)

    def test_delete_takes_one_statement(self, committed_ada, django_assert_num_queries):
        """BEGIN, DELETE, COMMIT."""
        cache = cache_of(committed_ada, "poll-lunch")
        key = key_of(committed_ada, "speed", "preferences")
        cache.set(key, 2)
        with django_assert_num_queries(3):
            cache.delete(key)
        with django_assert_num_queries(0), pytest.raises(KeyError, match="speed"):
            cache.delete(key)


class TestWrites:
    def test_write_keeps_the_other_cached_fields(self, ada):
        """SG2: add to the cached fields of a block, and remove none."""
        api.save_fields(ada.pk, COURSE, SUMS, {"attempts": 1, "answers": ["a"]})
        cache = cache_of(ada, "problem-sums")
        cache.set(key_of(ada, "attempts", group=SUMS), 2)
        assert cache.get(key_of(ada, "answers", group=SUMS)) == ["a"]
        assert cache.get(key_of(ada, "attempts", group=SUMS)) == 2
        stored = api.read_state(ada.pk, SUMS, COURSE)
        assert stored == {"attempts": 2, "answers": ["a"]}

    def test_write_at_a_block_that_was_not_added_keeps_its_other_fields(self, ada):
        api.save_fields(ada.pk, COURSE, SUMS, {"attempts": 1, "answers": ["a"]})
        cache = cache_of(ada)
        cache.set(key_of(ada, "attempts", group=SUMS), 2)
        assert len(cache) == 0, "it is read before its fields are"
        assert cache.get(key_of(ada, "answers", group=SUMS)) == ["a"]
        assert cache.get(key_of(ada, "attempts", group=SUMS)) == 2

    def test_returned_values_are_copies(self, ada):
        """SG15: keep the cached value unchanged when a written or returned one is changed."""
        cache = cache_of(ada, "poll-lunch")
        for key in (key_of(ada, "counts", "user_state_summary"), key_of(ada, "words")):
            value = {"soup": [1]}
            cache.set(key, value)
            value["soup"].append(2)
            cache.get(key)["soup"].append(3)
            assert cache.get(key) == {"soup": [1]}

    def test_written_value_equals_the_value_after_a_reload(self, ada):
        """SG14: return unicode, NUL, large numbers and tuples as a new cache reads them."""
        value = {"text": "ß\x00漢", "big": 2**70, "pair": (1, [2, (3,)]), "none": None}
        for scope in ("user_state", "user_state_summary", "preferences", "user_info"):
            key = key_of(ada, "field", scope)
            cache = cache_of(ada, "poll-lunch")
            cache.set(key, value)
            read = cache_of(ada, "poll-lunch").get(key)
            assert cache.get(key) == read == {**value, "pair": [1, [2, [3]]]}

    def test_none_is_stored_as_a_value(self, ada):
        cache = cache_of(ada, "poll-lunch")
        for key in keys_of_every_scope(ada):
            cache.set(key, None)
            assert cache.has(key)
            assert cache.get(key) is None

    def test_value_that_is_no_json_stores_no_field(self, ada):
        """SG16: write no scope if one value cannot be JSON."""
        cache = cache_of(ada, "poll-lunch")
        values = {**keys_of_every_scope(ada), key_of(ada, "bad"): object()}
        with pytest.raises(TypeError, match="bad"):
            cache.set_many(values)
        assert len(cache) == 0
        assert_nothing_stored()

    def test_deleted_field_is_absent_and_other_fields_stay(self, ada):
        """SG5: remove the field from the cache and the table, and keep the block's other fields."""
        values = {**keys_of_every_scope(ada), key_of(ada, "again"): True}
        cache = cache_of(ada, "poll-lunch")
        cache.set_many(values)
        for key in keys_of_every_scope(ada):
            cache.delete(key)
            for now in (cache, cache_of(ada, "poll-lunch")):
                assert not now.has(key)
                assert now.last_modified(key) is None
                assert now.get(key_of(ada, "again")) is True
                with pytest.raises(KeyError, match=key.field_name):
                    now.get(key)
            with pytest.raises(KeyError, match=key.field_name):
                cache.delete(key)

    def test_last_modified_rises_with_each_write(self, ada):
        cache = cache_of(ada, "poll-lunch")
        cache.set_many(keys_of_every_scope(ada))
        for key in keys_of_every_scope(ada):
            first = cache.last_modified(key)
            assert first == cache_of(ada, "poll-lunch").last_modified(key)
            cache.set(key, ["new"])
            assert first < cache.last_modified(key)
            assert cache.last_modified(key) == cache_of(ada, "poll-lunch").last_modified(key)


@pytest.mark.parametrize("scope", ["user_state_summary", "preferences", "user_info", "user_state"])
def test_concurrent_writes_in_opposite_orders_store_all_fields(committed_ada, scope):
    """SG21: write the same fields in opposite orders without an error, and store all of them."""
    names = [f"field {n}" for n in range(20)]
    orders = [names, names[::-1]] * 3

    def write(writer, order):
        try:
            values = {key_of(committed_ada, name, scope): writer for name in order}
            for _ in range(4):
                cache_of(committed_ada).set_many(values)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(orders)) as pool:
        for done in [pool.submit(write, *job) for job in enumerate(orders)]:
            done.result()
    last = cache_of(committed_ada)
    assert len({last.get(key_of(committed_ada, name, scope)) for name in names}) == 1


class TestFailedSaves:
    def fail(self, monkeypatch, cache, scope):
        def refuse(groups):
            raise DatabaseError("not today")

        monkeypatch.setattr(cache.cache[scope], "_write", refuse)

    def test_error_names_only_the_saved_fields(self, ada, monkeypatch):
        cache = cache_of(ada, "poll-lunch")
        self.fail(monkeypatch, cache, "preferences")
        with pytest.raises(KeyValueMultiSaveError) as caught:
            cache.set_many(keys_of_every_scope(ada))
        assert caught.value.saved_field_names == ["choice", "counts"]
        assert isinstance(caught.value.__cause__, DatabaseError)
        for now in (cache, cache_of(ada, "poll-lunch")):
            held = [key.field_name for key in keys_of_every_scope(ada) if now.has(key)]
            assert held == ["choice", "counts"]

    def test_name_that_was_saved_in_one_scope_only_is_not_named(self, ada, monkeypatch):
        cache = cache_of(ada, "poll-lunch")
        self.fail(monkeypatch, cache, "user_info")
        values = {key_of(ada, "speed", "preferences"): 1, key_of(ada, "speed", "user_info"): 2}
        with pytest.raises(KeyValueMultiSaveError) as caught:
            cache.set_many(values)
        assert caught.value.saved_field_names == []

    @pytest.mark.parametrize("scope", list(FieldDataCache([], COURSE, AnonymousUser()).cache))
    def test_failed_write_keeps_the_former_value(self, ada, monkeypatch, scope):
        cache = cache_of(ada, "poll-lunch")
        key = key_of(ada, "field", scope)
        cache.set(key, "old")
        self.fail(monkeypatch, cache, scope)
        with pytest.raises(KeyValueMultiSaveError):
            cache.set(key, "new")
        assert cache.get(key) == cache_of(ada, "poll-lunch").get(key) == "old"

    def test_failed_save_of_a_field_changed_in_place_keeps_the_cached_value(self, ada, monkeypatch):
        cache = cache_of(ada)
        problem = make_block(ada, cache, "problem-sums")
        problem.answers = ["a"]
        problem.save()
        self.fail(monkeypatch, cache, "user_state")
        again = make_block(ada, cache, "problem-sums")
        again.answers.append("b")
        with pytest.raises(XBlockSaveError) as caught:
            again.save()
        assert caught.value.saved_fields == []
        assert make_block(ada, cache, "problem-sums").answers == ["a"]

    def test_xblock_save_error_has_the_saved_fields(self, ada, monkeypatch):
        cache = cache_of(ada)
        poll = make_block(ada, cache, "poll-lunch")
        poll.choice, poll.language = "soup", "eo"
        self.fail(monkeypatch, cache, "user_info")
        with pytest.raises(XBlockSaveError) as caught:
            poll.save()
        assert [field.name for field in caught.value.saved_fields] == ["choice"]
        monkeypatch.undo()
        poll.save()
        assert cache_of(ada).get(key_of(ada, "language", "user_info")) == "eo"


class TestLearners:
    def test_key_of_another_learner_is_an_error(self, ada):
        bo = get_user_model().objects.create_user("bo")
        cache = cache_of(ada, "poll-lunch")
        for scope in ("user_state", "preferences", "user_info"):
            key = key_of(bo, "field", scope)
            for access in (
                lambda key=key: cache.get(key),
                lambda key=key: cache.has(key),
                lambda key=key: cache.set(key, 1),
                lambda key=key: cache.delete(key),
                lambda key=key: cache.last_modified(key),
            ):
                with pytest.raises(WrongLearner, match="another learner"):
                    access()
        assert issubclass(WrongLearner, AssertionError)
        assert_nothing_stored()

    def test_learners_share_only_the_summary_fields(self, ada):
        bo = get_user_model().objects.create_user("bo")
        cache_of(ada, "poll-lunch").set_many(keys_of_every_scope(ada))
        seen = cache_of(bo, "poll-lunch")
        assert [seen.has(key) for key in keys_of_every_scope(bo)] == [False, True, False, False]

    def test_anonymous_learners_fields_are_not_stored(self, db, django_assert_num_queries):
        """SG17: store no field of a learner who is not signed in, except summaries."""
        anonymous = AnonymousUser()
        with django_assert_num_queries(1):  # the summary
            cache = cache_of(anonymous, "poll-lunch")
        cache.set_many(keys_of_every_scope(anonymous))
        assert [cache.has(key) for key in keys_of_every_scope(anonymous)] == [
            False,
            True,
            False,
            False,
        ]
        key = key_of(anonymous, "choice", group=usage_key("poll-other"))
        with django_assert_num_queries(0):
            for access in (cache.get, cache.delete):
                with pytest.raises(KeyError, match="choice"):
                    access(key)
            assert cache.has(key) is False
            assert cache.last_modified(key) is None
        assert not StudentModule.objects.exists()
        assert not XModuleStudentPrefsField.objects.exists()


class TestReadOnly:
    def test_writes_and_deletes_change_nothing(self, ada, django_assert_num_queries):
        """SG36: read fields, and ignore writes and deletes."""
        written = keys_of_every_scope(ada)
        cache_of(ada, "poll-lunch").set_many(written)
        cache = cache_of(ada, "poll-lunch", read_only=True)
        with django_assert_num_queries(0):
            cache.set_many(dict.fromkeys(written, "new"))
            cache.set(key_of(ada, "other"), 1)
            for key in written:
                cache.delete(key)
            cache.delete(key_of(ada, "never stored"))
        for now in (cache, cache_of(ada, "poll-lunch")):
            assert {key: now.get(key) for key in written} == written
            assert not now.has(key_of(ada, "other"))

    def test_saved_block_shows_the_new_values(self, ada):
        """SG36: let the block show after a save what it shows with a writable cache."""
        shown = []
        for read_only in (True, False):
            cache = cache_of(ada, read_only=read_only)
            problem = make_block(ada, cache, "problem-sums")
            cache.add_blocks_to_cache([problem])
            problem.attempts += 1
            problem.answers.append("a")
            problem.save()
            shown.append((problem.attempts, problem.answers))
        assert shown[0] == shown[1] == (1, ["a"])

    def test_key_of_another_learner_is_an_error(self, ada):
        cache = cache_of(ada, "poll-lunch", read_only=True)
        with pytest.raises(WrongLearner):
            cache.set(FieldKey(Scope.user_state, ada.pk + 1, POLL, "choice"), 1)


@pytest.mark.parametrize(
    "scope",
    [
        Scope.settings,
        Scope.content,
        Scope.children,
        Scope(UserScope.ONE, BlockScope.DEFINITION),
        Scope(UserScope.ALL, BlockScope.TYPE),
        "settings",
        None,
    ],
)
def test_unsupported_scope_is_an_error_and_writes_nothing(ada, scope):
    """SG9: raise an error for any other scope, and write nothing."""
    cache = cache_of(ada, "poll-lunch")
    key = FieldKey(scope, ada.pk, POLL, "field")
    good = key_of(ada, "choice")
    for access in (
        lambda: cache.get(key),
        lambda: cache.has(key),
        lambda: cache.set_many({good: 1, key: 1}),
        lambda: cache.delete(key),
        lambda: cache.last_modified(key),
    ):
        with pytest.raises(InvalidScopeError):
            access()
    assert_nothing_stored()


def test_course_id_of_text_is_an_error(ada):
    with pytest.raises(TypeError, match="course_id"):
        FieldDataCache([], str(COURSE), ada)


class TestDescendants:
    """A page with a problem, a poll and a page below it; the problem is on both pages."""

    @pytest.fixture
    def top(self, ada):
        cache = FieldDataCache([], COURSE, ada)
        problem = make_block(ada, cache, "problem-sums")
        low = make_block(ada, cache, "page-low", [problem, make_block(ada, cache, "problem-deep")])
        poll = make_block(ada, cache, "poll-lunch")
        return make_block(ada, cache, "page-top", [problem, poll, low])

    def known(self, cache):
        """Return the blocks whose state has been read."""
        return {key.block_id for key in cache.cache["user_state"]._known}

    @pytest.mark.parametrize(
        ("depth", "names"),
        [
            (0, {"page-top"}),
            (1, {"page-top", "problem-sums", "poll-lunch", "page-low"}),
            (2, {"page-top", "problem-sums", "poll-lunch", "page-low", "problem-deep"}),
            (None, {"page-top", "problem-sums", "poll-lunch", "page-low", "problem-deep"}),
        ],
    )
    def test_blocks_down_to_the_depth_are_read(self, ada, top, depth, names):
        cache = FieldDataCache.cache_for_block_descendents(COURSE, ada, top, depth)
        assert self.known(cache) == names

    def test_scores_or_children_reads_scorable_blocks_only(
        self, ada, top, django_assert_num_queries
    ):
        """Leave out polls, and the scopes that only they use."""
        with django_assert_num_queries(1):
            cache = FieldDataCache.cache_for_block_descendents(
                COURSE, ada, top, block_filter=scores_or_children
            )
        assert self.known(cache) == {"page-top", "page-low", "problem-sums", "problem-deep"}
        assert cache.scorable_locations == {SUMS, usage_key("problem-deep")}
        assert scores_or_children(object()) is False

    def test_descendants_of_a_filtered_block_are_read(self, ada, top):
        cache = FieldDataCache.cache_for_block_descendents(
            COURSE, ada, top, block_filter=lambda block: not block.has_children
        )
        assert self.known(cache) == {"problem-sums", "poll-lunch", "problem-deep"}

    def test_asides_and_read_only_are_passed_to_the_cache(self, ada, top):
        cache = FieldDataCache.cache_for_block_descendents(
            COURSE, ada, top, asides=["notes"], read_only=True
        )
        assert cache.read_only
        assert cache.asides == ("notes",)

    def test_circular_children_are_read_once(self, ada):
        cache = FieldDataCache([], COURSE, ada)
        first, second = (make_block(ada, cache, f"page-{n}", [None]) for n in (1, 2))
        first.get_children = lambda: [second]
        second.get_children = lambda: [first]
        cache.add_block_descendents(first)
        assert self.known(cache) == {"page-1", "page-2"}


class TestAsides:
    @pytest.mark.parametrize("version", [1, 2])
    def test_fields_of_asides_are_read_with_the_blocks(
        self, ada, version, django_assert_num_queries
    ):
        from opaque_keys.edx import asides

        group = getattr(asides, f"AsideUsageKeyV{version}")(POLL, "notes")
        family = "xblock_asides.v1"
        keys = [
            FieldKey(Scope.user_state, ada.pk, group, "text", family),
            FieldKey(Scope.user_state_summary, None, group, "readers", family),
            FieldKey(Scope.preferences, ada.pk, "notes", "colour", family),
        ]
        cache_of(ada).set_many(dict.fromkeys(keys, "x"))
        cache = cache_of(ada, "poll-lunch", asides=["notes"])
        with django_assert_num_queries(0):
            assert [cache.get(key) for key in keys] == ["x", "x", "x"]

    def test_scope_used_only_by_asides_is_read(self, ada):
        """Find the fields of asides, although their scopes are not known in advance."""
        key = FieldKey(Scope.preferences, ada.pk, "notes", "colour", "xblock_asides.v1")
        cache_of(ada).set(key, "red")
        assert cache_of(ada, "problem-sums", asides=["notes"]).get(key) == "red"

    def test_block_and_aside_of_one_type_have_separate_preferences(self, ada):
        block = FieldKey(Scope.preferences, ada.pk, "poll", "speed")
        aside = block._replace(block_family="xblock_asides.v1")
        cache_of(ada).set_many({block: 1, aside: 2})
        cache = cache_of(ada, "poll-lunch", asides=["poll"])
        assert (cache.get(block), cache.get(aside)) == (1, 2)


class TestKeys:
    def test_branch_and_version_are_ignored(self, ada):
        draft = POLL.for_branch("draft-branch").for_version("519665f6223ebd6980884f2b")
        cache = cache_of(ada, "poll-lunch")
        for scope in ("user_state", "user_state_summary"):
            cache.set(key_of(ada, "field", scope, group=draft), 1)
            for now in (cache, cache_of(ada, "poll-lunch")):
                assert now.get(key_of(ada, "field", scope)) == 1
                assert now.get(key_of(ada, "field", scope, group=draft)) == 1

    def test_blocks_and_types_that_differ_in_case_are_separate(self, ada):
        """SG10: treat block ids and types that differ in case as different."""
        upper = usage_key("Poll-lunch")
        for scope, group in (
            ("user_state", upper),
            ("user_state_summary", upper),
            ("preferences", "Poll"),
        ):
            cache_of(ada).set(key_of(ada, "field", scope), "lower")
            cache_of(ada).set(key_of(ada, "field", scope, group=group), "upper")
            assert cache_of(ada).get(key_of(ada, "field", scope)) == "lower"
            assert cache_of(ada).get(key_of(ada, "field", scope, group=group)) == "upper"

    def test_field_names_that_differ_in_case_or_accent_are_separate(self, ada):
        """SG14: keep fields separate whose names differ in case or in an accent."""
        for scope in ("user_state", "user_state_summary", "preferences", "user_info"):
            values = {key_of(ada, name, scope): name for name in ("voice", "Voice", "voïce")}
            cache_of(ada).set_many(values)
            for key, value in values.items():
                assert cache_of(ada).get(key) == value
            gone, *others = values
            cache_of(ada).delete(gone)
            assert [cache_of(ada).get(key) for key in others] == [values[key] for key in others]

    def test_runs_with_deprecated_keys_are_separate(self, ada):
        """SG13: keep two runs separate, although their keys are stored without a run."""
        old = UsageKey.from_string("i4x://DemoX/CS101/poll/lunch")
        runs = [CourseKey.from_string(f"DemoX/CS101/{year}") for year in (2015, 2016)]
        for scope in ("user_state", "user_state_summary"):
            for run in runs:
                group = old.map_into_course(run)
                cache_of(ada).set(key_of(ada, "field", scope, group=group), run.run)
            for run in runs:
                group = old.map_into_course(run)
                found = cache_of(ada).get(key_of(ada, "field", scope, group=group))
                assert found == run.run

    def test_blocks_of_a_library_and_a_course_are_read_together(self, ada):
        """SG11: read and write blocks of a course and of a library together."""
        group = UsageKey.from_string("lb:DemoX:lib:poll:lunch")
        values = {
            key_of(ada, "field", scope, group=where): str(where)
            for scope in ("user_state", "user_state_summary")
            for where in (group, POLL)
        }
        cache_of(ada).set_many(values)
        cache = cache_of(ada)
        assert {key: cache.get(key) for key in values} == values


def test_copied_key_equals_the_key(ada):
    """Compare and hash equal after a copy, as in caches and pickles of runtimes."""
    key = key_of(ada, "choice")
    assert {key: 1}[copy.copy(key)] == 1


def assert_nothing_stored():
    for model in (
        StudentModule,
        XModuleUserStateSummaryField,
        XModuleStudentPrefsField,
        XModuleStudentInfoField,
    ):
        assert not model.objects.exists()
