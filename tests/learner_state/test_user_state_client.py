"""The bridge's user-state client: the contract of every client, and what it stores in tables."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from opaque_keys.edx.asides import AsideUsageKeyV1, AsideUsageKeyV2
from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey
from xblock.fields import Scope

from tests.learner_state.test_user_state import LOCK
from xqueue_bridge import api
from xqueue_bridge.learner_state import user_state
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.signals import state_saved
from xqueue_bridge.testing.user_state import UserStateClientContract
from xqueue_bridge.testing.user_state.base import (
    BLOCK,
    BLOCKS,
    COURSE,
    DEPRECATED_KEY,
    LIBRARY,
    LIBRARY_BLOCK,
    OLD_RUNS,
    OTHER,
)

MANY = [
    UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@problem+block@b{n}") for n in range(2500)
]


@pytest.fixture
def client(db) -> DjangoXBlockUserStateClient:
    return DjangoXBlockUserStateClient()


@pytest.mark.django_db
class TestContract(UserStateClientContract):
    """Run the contract tests of user-state clients."""

    def make_client(self, username=None):
        user = username and get_user_model().objects.get_by_natural_key(username)
        return DjangoXBlockUserStateClient(user)

    def make_user(self, name):
        return get_user_model().objects.create_user(name).get_username()


class TestStoredRows:
    def test_deleted_state_is_an_empty_object(self, client, ada):
        """SG5: keep the row with an empty state, after its last field is deleted."""
        client.set("ada", BLOCK, {"a": 1})
        client.delete("ada", BLOCK, fields=["a"])
        assert StudentModule.objects.get().state == "{}"
        client.delete("ada", BLOCK)
        assert StudentModule.objects.get().version == 2, "there was nothing left to delete"

    def test_empty_deletes_and_sets_create_no_row(self, client, ada):
        """SG7, SG8: create no row and no history for a delete or set of nothing."""
        client.delete_many("ada", BLOCKS)
        client.set_many("ada", {BLOCK: {}, OTHER: {}})
        client.set_many("ada", {})
        assert not StudentModule.objects.exists()
        assert not StudentModuleHistory.objects.exists()

    def test_unsupported_scope_is_an_error_and_writes_nothing(self, client, ada):
        """SG9: accept XBlock's ``Scope.user_state``, and refuse any other scope."""
        for scope in Scope.scopes():
            if scope != Scope.user_state:
                with pytest.raises(ValueError, match="user_state"):
                    client.set("ada", BLOCK, {"a": 1}, scope)
        assert not StudentModule.objects.exists()
        client.set("ada", BLOCK, {"a": 1}, Scope.user_state)
        assert client.get("ada", BLOCK, scope=Scope.user_state).scope is Scope.user_state

    def test_row_of_a_library_block_has_the_librarys_key(self, client, ada):
        """SG12: store the library's key, which is no course key."""
        client.set("ada", LIBRARY_BLOCK, {"a": 1})
        texts = StudentModule.objects.values_list("course_id", flat=True)
        assert list(texts) == [LIBRARY]
        with pytest.raises(Exception, match="lib:"):
            CourseKey.from_string(str(texts[0]))
        assert LearningContextKey.from_string(str(texts[0])) == LIBRARY
        assert [found.state for found in client.iter_all_for_course(LIBRARY)] == [{"a": 1}]

    def test_deprecated_key_is_stored_without_and_read_with_its_run(self, client, ada):
        """SG13: store an i4x key without its run, and return it with the run."""
        for run in OLD_RUNS:
            api.save_fields(ada.pk, run, DEPRECATED_KEY, {"run": run.run})
        assert set(StudentModule.objects.values_list("module_state_key", flat=True)) == {
            DEPRECATED_KEY
        }
        for run in OLD_RUNS:
            mapped = DEPRECATED_KEY.map_into_course(run)
            assert client.get("ada", mapped).state == {"run": run.run}
            (found,) = client.iter_all_for_course(run)
            assert (found.block_key, found.block_key.context_key) == (mapped, run)
            (found,) = client.iter_all_for_block(mapped)
            assert (found.block_key, found.state) == (mapped, {"run": run.run})

    @pytest.mark.parametrize("form", [AsideUsageKeyV1, AsideUsageKeyV2])
    def test_aside_of_a_deprecated_key_is_returned_with_its_run(self, client, ada, form):
        """SG13: return the key of an aside with its run, and keep runs separate."""
        first, second = (form(DEPRECATED_KEY.map_into_course(run), "notes") for run in OLD_RUNS)
        client.set_many("ada", {first: {"run": 1}, second: {"run": 2}})
        assert [f.state["run"] for f in client.get_many("ada", [second, first])] == [2, 1]
        for walk in (client.iter_all_for_course(OLD_RUNS[0]), client.iter_all_for_block(first)):
            (found,) = walk
            assert (found.block_key, found.state) == (first, {"run": 1})
        with pytest.raises(ValueError, match="run"):
            client.get("ada", form(DEPRECATED_KEY, "notes"))

    def test_deprecated_key_without_a_run_is_an_error(self, client, ada):
        """SG13: refuse a key without a run, because it could mean any run."""
        for ask in (
            lambda: client.set("ada", DEPRECATED_KEY, {"a": 1}),
            lambda: client.get("ada", DEPRECATED_KEY),
            lambda: client.delete("ada", DEPRECATED_KEY),
        ):
            with pytest.raises(ValueError, match="run"):
                ask()
        assert not StudentModule.objects.exists()

    def test_branches_and_versions_of_a_block_have_one_state(self, client, ada):
        """SG10: read and write one state of a block, on each branch."""
        client.set("ada", BLOCK.for_branch("draft"), {"a": 1})
        client.set("ada", BLOCK.for_version("0123456789abcdef01234567"), {"b": 2})
        assert client.get("ada", BLOCK).state == {"a": 1, "b": 2}
        draft = BLOCK.for_branch("draft")
        (found,) = client.get_many("ada", [draft, BLOCK])
        assert found.block_key == draft
        assert StudentModule.objects.count() == 1

    def test_two_branches_of_a_block_in_one_call_are_merged(self, client, ada):
        """SG2, SG10: store the fields given on two branches in one call at one block."""
        draft = BLOCK.for_branch("draft")
        client.set_many("ada", {draft: {"a": 1, "c": 1}, BLOCK: {"b": 2, "c": 2}, OTHER: {}})
        assert client.get("ada", BLOCK).state == {"a": 1, "b": 2, "c": 2}
        assert StudentModule.objects.count() == 1

    def test_block_type_longer_than_its_column_is_found(self, client, ada):
        """SG12: iterate over the blocks of a type whose name is longer than its column."""
        long_type = "a_block_type_with_a_rather_long_name"
        first, second = (
            UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@{long_type}{n}+block@b")
            for n in (1, 2)
        )
        client.set_many("ada", {first: {"a": 1}, second: {"a": 2}, BLOCK: {"a": 3}})
        found = list(client.iter_all_for_course(COURSE, first.block_type))
        assert [state.block_key for state in found] == [first]

    def test_field_that_is_no_json_is_named_and_writes_nothing(self, client, ada):
        """SG16: name the field in the error, and write no block."""
        states = {block: {"a": 1} for block in BLOCKS} | {OTHER: {"fine": 1, "odd": {1}}}
        with pytest.raises(TypeError, match="'odd'"):
            client.set_many("ada", states)
        with pytest.raises(TypeError, match="usage key"):
            client.set_many("ada", {BLOCK: {"a": 1}, str(OTHER): {"a": 1}})
        with pytest.raises(TypeError, match="mapping"):
            client.set_many("ada", {BLOCK: {"a": 1}, OTHER: ["a", "b"]})
        assert not StudentModule.objects.exists()
        assert not StudentModuleHistory.objects.exists()

    def test_alternate_writes_of_score_and_state_keep_both(self, client, ada):
        """SG18: keep the score when the state is written, and the state when the score is."""
        client.set("ada", BLOCK, {"a": 1})
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        client.set("ada", BLOCK, {"b": 2})
        client.delete("ada", BLOCK, fields=["a"])
        row = StudentModule.objects.get()
        assert (row.state, row.grade, row.max_grade) == ('{"b": 2}', 1, 2)

    def test_row_with_a_score_only_is_absent_in_each_method(self, client, ada):
        """SG26: treat a row without a state as absent in every method, without an error."""
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        with pytest.raises(client.DoesNotExist):
            client.get("ada", BLOCK)
        client.delete("ada", BLOCK, fields=["a"])
        client.delete("ada", BLOCK)
        assert list(client.get_many("ada", [BLOCK])) == []
        assert list(client.iter_all_for_block(BLOCK)) == []
        assert list(client.iter_all_for_course(COURSE)) == []
        assert StudentModule.objects.get().state is None
        assert [entry.state for entry in client.get_history("ada", BLOCK)] == [None]

    def test_ids_above_32_bits_are_stored_and_read(self, client, ada, django_assert_num_queries):
        """SG35: store and read ids above 32 bits as any others."""
        now = datetime.now(UTC)
        for n, block in enumerate((BLOCK, OTHER)):
            StudentModule.objects.create(
                pk=2**33 + n,
                student=ada,
                course_id=COURSE,
                module_state_key=block,
                module_type="problem",
                state='{"a": 1}',
                version=2**34,
                created=now,
                modified=now,
            )
        client.set_many("ada", {BLOCK: {"b": 2}, OTHER: {"b": 2}})
        assert client.get("ada", BLOCK).state == {"a": 1, "b": 2}
        assert next(client.get_history("ada", OTHER)).state == {"a": 1, "b": 2}
        with django_assert_num_queries(2):
            assert len(list(client.iter_all_for_course(COURSE, batch_size=1))) == 2
        entry = StudentModuleHistory.objects.get(module_state_key=BLOCK)
        assert (entry.student_module_id, entry.version) == (2**33, 2**34 + 1)


class TestUsers:
    def test_write_for_an_unknown_username_is_an_error(self, client, ada):
        """SG17: raise an error, and store nothing."""
        for write in (
            lambda: client.set("bob", BLOCK, {"a": 1}),
            lambda: client.delete_many("bob", [BLOCK]),
        ):
            with pytest.raises(client.UnknownUser, match="bob"):
                write()
        assert issubclass(client.UnknownUser, (client.DoesNotExist, api.UnknownLearner))
        assert not StudentModule.objects.exists()
        assert list(client.get_many("bob", [BLOCK])) == []

    @pytest.mark.parametrize("username", ["", None])
    def test_write_for_an_anonymous_learner_does_nothing(
        self, ada, username, django_assert_num_queries
    ):
        """SG17: store and return no state of an anonymous learner."""
        for client in (
            DjangoXBlockUserStateClient(),
            DjangoXBlockUserStateClient(AnonymousUser()),
        ):
            with django_assert_num_queries(0):
                client.set(username, BLOCK, {"a": 1})
                client.delete(username, BLOCK)
            assert list(client.get_many(username, [BLOCK])) == []
            with pytest.raises(client.DoesNotExist):
                next(client.get_history(username, BLOCK))
        assert not StudentModule.objects.exists()

    def test_user_without_an_id_is_unknown(self, client):
        """SG17: treat a user object without an id as an unknown user."""
        client = DjangoXBlockUserStateClient(get_user_model()(username="ghost"))
        with pytest.raises(client.UnknownUser):
            client.set("ghost", BLOCK, {"a": 1})
        assert list(client.get_many("ghost", [BLOCK])) == []
        assert not StudentModule.objects.exists()


class TestSignals:
    def test_save_of_waiting_states_sends_their_queue_keys(
        self, client, ada, django_capture_on_commit_callbacks
    ):
        """SG2: send one signal after the commit for each state that waits for graders."""
        signals = []

        def listen(sender, **received):
            signals.append((received["user_id"], received["usage_key"], received["waiting_keys"]))

        def waits_for(key):
            return {"correct_map": {"a_2_1": {"queuestate": {"key": key, "time": "2026"}}}}

        state_saved.connect(listen)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                client.set_many(
                    "ada",
                    {
                        BLOCK: waits_for("k1"),
                        OTHER: waits_for("k2"),
                        LIBRARY_BLOCK: {"correct_map": {"a_2_1": {"queuestate": None}}},
                    },
                )
                assert signals == []
        finally:
            state_saved.disconnect(listen)
        assert sorted(signals, key=str) == sorted(
            [(ada.pk, BLOCK, frozenset({"k1"})), (ada.pk, OTHER, frozenset({"k2"}))], key=str
        )


class TestWithoutXBlock:
    def test_scope_without_xblock_is_its_name(self, client, ada, monkeypatch):
        """SG86: accept the scope by its name where XBlock is not installed."""

        def missing(name):
            raise ImportError(name)

        user_state.user_state_scope.cache_clear()
        monkeypatch.setattr(user_state, "import_module", missing)
        try:
            client.set("ada", BLOCK, {"a": 1}, scope="user_state")
            assert client.get("ada", BLOCK).scope == "user_state"
            with pytest.raises(ValueError, match="preferences"):
                client.set("ada", BLOCK, {"a": 1}, scope="preferences")
        finally:
            user_state.user_state_scope.cache_clear()


class TestStatements:
    """Statements of each call; BEGIN and COMMIT, and savepoints, are counted apart."""

    #: BEGIN, COMMIT.
    ENDS = 2

    @pytest.fixture(params=[False, True], ids=["by name", "user given"])
    def known(self, request, committed_ada) -> DjangoXBlockUserStateClient:
        return DjangoXBlockUserStateClient(committed_ada if request.param else None)

    @pytest.mark.parametrize("number", [1, 5, 50])
    def test_1_to_50_blocks_take_the_same_number_of_statements(
        self, known, number, django_assert_num_queries
    ):
        """SG24: take at most five statements for a write of 1, 5 or 50 blocks."""
        look = 0 if known.user else 1
        states = {block: {"a": 1, "b": 2} for block in BLOCKS[:number]}
        savepoint = 2
        with django_assert_num_queries(look + self.ENDS + LOCK + savepoint + 2):
            known.set_many("ada", states)  # new: lock, INSERT, history
        with django_assert_num_queries(look + self.ENDS + LOCK + 2):
            known.set_many("ada", states)  # there: lock, upsert, history
        with django_assert_num_queries(1):
            assert len(list(known.get_many("ada", states))) == number
        with django_assert_num_queries(look + self.ENDS + LOCK + 2):
            known.delete_many("ada", states, fields=["a"])
        with django_assert_num_queries(look + self.ENDS + LOCK + 2):
            known.delete_many("ada", states)
        assert look + LOCK + 2 <= 5

    def test_delete_without_rows_takes_the_lock_only(self, known, django_assert_num_queries):
        """SG7: execute no statement but the read with a lock, if no row exists."""
        look = 0 if known.user else 1
        with django_assert_num_queries(look + self.ENDS + LOCK):
            known.delete_many("ada", BLOCKS)

    @pytest.mark.parametrize("number", [5, 50])
    def test_history_of_5_or_50_entries_takes_one_statement(
        self, known, number, django_assert_num_queries
    ):
        """SG31: read 5 or 50 entries with one statement."""
        for n in range(number):
            known.set("ada", BLOCK, {"n": n})
        with django_assert_num_queries(1):
            assert len(list(known.get_history("ada", BLOCK))) == number

    @pytest.mark.parametrize(("rows", "pages"), [(0, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
    def test_iteration_takes_one_statement_for_each_page(
        self, committed_ada, rows, pages, settings, django_assert_num_queries
    ):
        """SG12: take one statement for each page of rows, and none for their learners."""
        settings.XQUEUE_BRIDGE = {"USER_STATE_BATCH_SIZE": 4}
        client = DjangoXBlockUserStateClient()
        client.set_many("ada", {block: {"a": 1} for block in BLOCKS[:rows]})
        with django_assert_num_queries(pages):
            assert len(list(client.iter_all_for_course(COURSE))) == rows
        with django_assert_num_queries(pages):
            assert len(list(client.iter_all_for_course(COURSE, "problem"))) == rows
        with django_assert_num_queries(1):
            list(client.iter_all_for_block(BLOCK))


def test_2500_blocks_are_set_read_and_deleted_in_one_call(client, ada):
    """SG25: set and read 2,500 blocks in one call each, on every database."""
    client.set_many("ada", {block: {"n": n} for n, block in enumerate(MANY)})
    found = list(client.get_many("ada", reversed(MANY)))
    assert [state.state["n"] for state in found] == list(reversed(range(2500)))
    client.delete_many("ada", MANY[100:])
    assert sum(1 for _ in client.iter_all_for_course(COURSE)) == 100


def test_rows_deleted_during_an_iteration_hide_no_other_rows(client, ada):
    """SG12: begin each page after a key, so that deleted rows hide no others."""
    client.set_many("ada", {block: {"n": n} for n, block in enumerate(BLOCKS)})
    met = Counter()
    for state in client.iter_all_for_course(COURSE, batch_size=10):
        met[state.block_key] += 1
        StudentModule.objects.filter(module_state_key=state.block_key).delete()
    assert met == Counter(BLOCKS)


def test_clock_set_back_does_not_make_an_entry_older(client, ada):
    """SG27: give a new entry at least the time of the former one."""
    client.set("ada", BLOCK, {"a": 1})
    later = datetime(2099, 1, 1, tzinfo=UTC)
    StudentModule.objects.update(modified=later)
    StudentModuleHistory.objects.update(created=later)
    client.set("ada", BLOCK, {"a": 2})
    times = [entry.updated for entry in client.get_history("ada", BLOCK)]
    assert times == [later, later]
    assert client.get("ada", BLOCK).state == {"a": 2}


def test_history_database_reads_the_learner_first(client, ada, settings, django_assert_num_queries):
    """SG29: read the learner's id first, if the history is in another database."""
    client.set("ada", BLOCK, {"a": 1})
    settings.XQUEUE_BRIDGE = {"HISTORY_DATABASE": "default"}
    for user, statements in ((ada, 1), (None, 2)):
        each = DjangoXBlockUserStateClient(user)
        with django_assert_num_queries(statements):
            assert [entry.state for entry in each.get_history("ada", BLOCK)] == [{"a": 1}]
    with pytest.raises(client.DoesNotExist):
        next(client.get_history("bob", BLOCK))


def test_states_larger_than_one_statement_are_written_in_several(client, ada):
    """SG25: write states in several statements of one transaction."""
    essays = {block: {"essay": f"{n}" * 400_000} for n, block in enumerate(BLOCKS)}
    client.set_many("ada", essays)
    client.set_many("ada", {block: {"n": 1} for block in BLOCKS})
    found = {state.block_key: state.state for state in client.get_many("ada", BLOCKS)}
    assert found == {block: {**essay, "n": 1} for block, essay in essays.items()}


class TestContractOnRows:
    """Statements of the contract where the row exists for another reason than its state."""

    def test_row_with_a_score_only_has_no_state(self, client, ada):
        """SG1: treat a row that was created for a score as absent, for one block and for many."""
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        with pytest.raises(client.DoesNotExist):
            client.get("ada", BLOCK)
        assert list(client.get_many("ada", [BLOCK, OTHER], fields=["a"])) == []
        assert list(client.iter_all_for_course(COURSE)) == []

    def test_none_is_stored_as_null(self, client, ada):
        """SG3: find a field that is None by its name, also in the history."""
        client.set("ada", BLOCK, {"a": None, "b": 1})
        assert client.get("ada", BLOCK, fields=["a"]).state == {"a": None}
        assert StudentModule.objects.get().state == '{"a": null, "b": 1}'
        assert next(client.get_history("ada", BLOCK)).state == {"a": None, "b": 1}
        client.delete("ada", BLOCK, fields=["a"])
        assert client.get("ada", BLOCK, fields=["a"]).state == {}

    def test_block_without_the_requested_fields_is_found(self, client, ada):
        """SG4: return {} for a block that has none of the requested fields."""
        client.set_many("ada", {BLOCK: {"a": 1}, OTHER: {"b": 2}})
        for fields, states in (
            (["b"], [{}, {"b": 2}]),
            ([], [{}, {}]),
            (None, [{"a": 1}, {"b": 2}]),
        ):
            found = client.get_many("ada", [BLOCK, OTHER], fields=fields)
            assert [state.state for state in found] == states

    def test_deleted_fields_stay_absent_after_a_set_and_a_score(self, client, ada):
        """SG6: keep deleted fields absent after a set of another field and a score."""
        client.set("ada", BLOCK, {"a": 1, "b": 2})
        client.delete("ada", BLOCK)
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        with pytest.raises(client.DoesNotExist):
            client.get("ada", BLOCK)
        client.set("ada", BLOCK, {"c": 3})
        assert client.get("ada", BLOCK).state == {"c": 3}
        assert [entry.state for entry in client.get_history("ada", BLOCK)] == [
            {"c": 3},
            None,
            None,
            {"a": 1, "b": 2},
        ]
