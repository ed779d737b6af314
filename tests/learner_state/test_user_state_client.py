"""Our user-state client, with the database; what every client must do, it does too."""

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
def ada(db):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def committed_ada(transactional_db):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def client(db) -> DjangoXBlockUserStateClient:
    return DjangoXBlockUserStateClient()


@pytest.mark.django_db
class TestContract(UserStateClientContract):
    """What every client must do, ours does."""

    def make_client(self, username=None):
        user = username and get_user_model().objects.get_by_natural_key(username)
        return DjangoXBlockUserStateClient(user)

    def make_user(self, name):
        return get_user_model().objects.create_user(name).get_username()


class TestWhatTheTableHolds:
    def test_a_deleted_state(self, client, ada):
        """SG5: without its last field the row stays, with an empty state."""
        client.set("ada", BLOCK, {"a": 1})
        client.delete("ada", BLOCK, fields=["a"])
        assert StudentModule.objects.get().state == "{}"
        client.delete("ada", BLOCK)
        assert StudentModule.objects.get().version == 2, "there was nothing left to delete"

    def test_nothing(self, client, ada):
        """SG7, SG8: deleting nothing, and setting nothing, leave no row and no history."""
        client.delete_many("ada", BLOCKS)
        client.set_many("ada", {BLOCK: {}, OTHER: {}})
        client.set_many("ada", {})
        assert not StudentModule.objects.exists()
        assert not StudentModuleHistory.objects.exists()

    def test_other_scopes_write_nothing(self, client, ada):
        """SG9: Scope is understood as XBlock has it; any but user_state is refused."""
        for scope in Scope.scopes():
            if scope != Scope.user_state:
                with pytest.raises(ValueError, match="user_state"):
                    client.set("ada", BLOCK, {"a": 1}, scope)
        assert not StudentModule.objects.exists()
        client.set("ada", BLOCK, {"a": 1}, Scope.user_state)
        assert client.get("ada", BLOCK, scope=Scope.user_state).scope is Scope.user_state

    def test_a_library_block(self, client, ada):
        """SG12: the row names the library, which is no course."""
        client.set("ada", LIBRARY_BLOCK, {"a": 1})
        texts = StudentModule.objects.values_list("course_id", flat=True)
        assert list(texts) == [LIBRARY]
        with pytest.raises(Exception, match="lib:"):
            CourseKey.from_string(str(texts[0]))
        assert LearningContextKey.from_string(str(texts[0])) == LIBRARY
        assert [found.state for found in client.iter_all_for_course(LIBRARY)] == [{"a": 1}]

    def test_deprecated_key(self, client, ada):
        """SG13: stored under a course without its run, an i4x key is found with it."""
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
    def test_aside_of_a_deprecated_key(self, client, ada, form):
        """SG13: an aside's key comes back with the run, too, and runs do not mix."""
        first, second = (form(DEPRECATED_KEY.map_into_course(run), "notes") for run in OLD_RUNS)
        client.set_many("ada", {first: {"run": 1}, second: {"run": 2}})
        assert [f.state["run"] for f in client.get_many("ada", [second, first])] == [2, 1]
        for walk in (client.iter_all_for_course(OLD_RUNS[0]), client.iter_all_for_block(first)):
            (found,) = walk
            assert (found.block_key, found.state) == (first, {"run": 1})
        with pytest.raises(ValueError, match="run"):
            client.get("ada", form(DEPRECATED_KEY, "notes"))

    def test_a_key_that_names_no_run(self, client, ada):
        """SG13: by itself such a key could mean any run, so it is refused."""
        for ask in (
            lambda: client.set("ada", DEPRECATED_KEY, {"a": 1}),
            lambda: client.get("ada", DEPRECATED_KEY),
            lambda: client.delete("ada", DEPRECATED_KEY),
        ):
            with pytest.raises(ValueError, match="run"):
                ask()
        assert not StudentModule.objects.exists()

    def test_branches_and_versions(self, client, ada):
        """SG10: a block has one state, on whichever branch it is looked at."""
        client.set("ada", BLOCK.for_branch("draft"), {"a": 1})
        client.set("ada", BLOCK.for_version("0123456789abcdef01234567"), {"b": 2})
        assert client.get("ada", BLOCK).state == {"a": 1, "b": 2}
        draft = BLOCK.for_branch("draft")
        (found,) = client.get_many("ada", [draft, BLOCK])
        assert found.block_key == draft
        assert StudentModule.objects.count() == 1

    def test_two_keys_of_one_block(self, client, ada):
        """SG2, SG10: given on two branches in one call, a block gets the fields of both."""
        draft = BLOCK.for_branch("draft")
        client.set_many("ada", {draft: {"a": 1, "c": 1}, BLOCK: {"b": 2, "c": 2}, OTHER: {}})
        assert client.get("ada", BLOCK).state == {"a": 1, "b": 2, "c": 2}
        assert StudentModule.objects.count() == 1

    def test_a_long_block_type(self, client, ada):
        """SG12: a walk finds the blocks of a type whose name is longer than its column."""
        long_type = "a_block_type_with_a_rather_long_name"
        first, second = (
            UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@{long_type}{n}+block@b")
            for n in (1, 2)
        )
        client.set_many("ada", {first: {"a": 1}, second: {"a": 2}, BLOCK: {"a": 3}})
        found = list(client.iter_all_for_course(COURSE, first.block_type))
        assert [state.block_key for state in found] == [first]

    def test_what_cannot_be_stored_is_named(self, client, ada):
        """SG16: the error names the field; nothing at all is written."""
        states = {block: {"a": 1} for block in BLOCKS} | {OTHER: {"fine": 1, "odd": {1}}}
        with pytest.raises(TypeError, match="'odd'"):
            client.set_many("ada", states)
        with pytest.raises(TypeError, match="usage key"):
            client.set_many("ada", {BLOCK: {"a": 1}, str(OTHER): {"a": 1}})
        with pytest.raises(TypeError, match="mapping"):
            client.set_many("ada", {BLOCK: {"a": 1}, OTHER: ["a", "b"]})
        assert not StudentModule.objects.exists()
        assert not StudentModuleHistory.objects.exists()

    def test_a_score_and_a_state(self, client, ada):
        """SG18: a state and a score that are written alternately both survive."""
        client.set("ada", BLOCK, {"a": 1})
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        client.set("ada", BLOCK, {"b": 2})
        client.delete("ada", BLOCK, fields=["a"])
        row = StudentModule.objects.get()
        assert (row.state, row.grade, row.max_grade) == ('{"b": 2}', 1, 2)

    def test_only_a_score(self, client, ada):
        """SG26: a row with a score and no state is absent, everywhere, and no error."""
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

    def test_large_ids(self, client, ada):
        """SG35: ids beyond 32 bits are ids like others."""
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
        assert len(list(client.iter_all_for_course(COURSE, batch_size=1))) == 2
        entry = StudentModuleHistory.objects.get(module_state_key=BLOCK)
        assert (entry.student_module_id, entry.version) == (2**33, 2**34 + 1)


class TestWho:
    def test_unknown_username(self, client, ada):
        """SG17: writing for an unknown username raises, and stores nothing."""
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
    def test_anonymous(self, ada, username):
        """SG17: an anonymous learner has no state; writing it does nothing."""
        for client in (
            DjangoXBlockUserStateClient(),
            DjangoXBlockUserStateClient(AnonymousUser()),
        ):
            client.set(username, BLOCK, {"a": 1})
            client.delete(username, BLOCK)
            assert list(client.get_many(username, [BLOCK])) == []
            with pytest.raises(client.DoesNotExist):
                next(client.get_history(username, BLOCK))
        assert not StudentModule.objects.exists()

    def test_a_learner_who_was_never_saved(self, client):
        """SG17: a user object without an id is an unknown user."""
        client = DjangoXBlockUserStateClient(get_user_model()(username="ghost"))
        with pytest.raises(client.UnknownUser):
            client.set("ghost", BLOCK, {"a": 1})
        assert list(client.get_many("ghost", [BLOCK])) == []
        assert not StudentModule.objects.exists()


class TestSignals:
    def test_states_that_wait(self, client, ada, django_capture_on_commit_callbacks):
        """SG2: after the commit, each state that waits for graders is told of."""
        heard = []

        def listen(sender, **received):
            heard.append((received["user_id"], received["usage_key"], received["waiting_keys"]))

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
                assert heard == []
        finally:
            state_saved.disconnect(listen)
        assert sorted(heard, key=str) == sorted(
            [(ada.pk, BLOCK, frozenset({"k1"})), (ada.pk, OTHER, frozenset({"k2"}))], key=str
        )


class TestWithoutXBlock:
    def test_its_scope_is_its_name(self, client, ada, monkeypatch):
        """SG86: where XBlock is not installed the scope is known by its name."""

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
    """What each call costs. A transaction's BEGIN and COMMIT, and savepoints, are told apart."""

    #: BEGIN, COMMIT.
    ENDS = 2

    @pytest.fixture(params=[False, True], ids=["by name", "user given"])
    def known(self, request, committed_ada) -> DjangoXBlockUserStateClient:
        return DjangoXBlockUserStateClient(committed_ada if request.param else None)

    @pytest.mark.parametrize("number", [1, 5, 50])
    def test_any_number_of_blocks(self, known, number, django_assert_num_queries):
        """SG24: 1, 5 or 50 blocks take the same statements, at most five for a write."""
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

    def test_deleting_nothing(self, known, django_assert_num_queries):
        """SG7: where nothing is stored, deleting only looks."""
        look = 0 if known.user else 1
        with django_assert_num_queries(look + self.ENDS + LOCK):
            known.delete_many("ada", BLOCKS)

    @pytest.mark.parametrize("number", [5, 50])
    def test_history(self, known, number, django_assert_num_queries):
        """SG31: 5 or 50 entries take one statement."""
        for n in range(number):
            known.set("ada", BLOCK, {"n": n})
        with django_assert_num_queries(1):
            assert len(list(known.get_history("ada", BLOCK))) == number

    @pytest.mark.parametrize(("rows", "pages"), [(0, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
    def test_walks(self, committed_ada, rows, pages, settings, django_assert_num_queries):
        """SG12: a walk takes a statement for each page of rows, and none for their learners."""
        settings.XQUEUE_BRIDGE = {"USER_STATE_BATCH_SIZE": 4}
        client = DjangoXBlockUserStateClient()
        client.set_many("ada", {block: {"a": 1} for block in BLOCKS[:rows]})
        with django_assert_num_queries(pages):
            assert len(list(client.iter_all_for_course(COURSE))) == rows
        with django_assert_num_queries(pages):
            assert len(list(client.iter_all_for_course(COURSE, "problem"))) == rows
        with django_assert_num_queries(1):
            list(client.iter_all_for_block(BLOCK))


def test_more_blocks_than_a_statement_takes(client, ada):
    """SG25: 2,500 blocks are set and read in one call each, on every database."""
    client.set_many("ada", {block: {"n": n} for n, block in enumerate(MANY)})
    found = list(client.get_many("ada", reversed(MANY)))
    assert [state.state["n"] for state in found] == list(reversed(range(2500)))
    client.delete_many("ada", MANY[100:])
    assert sum(1 for _ in client.iter_all_for_course(COURSE)) == 100


def test_a_walk_while_rows_go(client, ada):
    """SG12: what is deleted during a walk hides nothing else: pages begin after a key."""
    client.set_many("ada", {block: {"n": n} for n, block in enumerate(BLOCKS)})
    met = Counter()
    for state in client.iter_all_for_course(COURSE, batch_size=10):
        met[state.block_key] += 1
        StudentModule.objects.filter(module_state_key=state.block_key).delete()
    assert met == Counter(BLOCKS)


def test_times_do_not_run_backwards(client, ada):
    """SG27: a clock that was set back does not make the newest entry look older."""
    client.set("ada", BLOCK, {"a": 1})
    later = datetime(2099, 1, 1, tzinfo=UTC)
    StudentModule.objects.update(modified=later)
    StudentModuleHistory.objects.update(created=later)
    client.set("ada", BLOCK, {"a": 2})
    times = [entry.updated for entry in client.get_history("ada", BLOCK)]
    assert times == [later, later]
    assert client.get("ada", BLOCK).state == {"a": 2}


def test_history_reads_by_id_where_it_lives_elsewhere(client, ada, settings):
    """SG29: with the history in a database of its own, the learner is looked up first."""
    client.set("ada", BLOCK, {"a": 1})
    settings.XQUEUE_BRIDGE = {"HISTORY_DATABASE": "default"}
    assert [entry.state for entry in client.get_history("ada", BLOCK)] == [{"a": 1}]
    with pytest.raises(client.DoesNotExist):
        next(client.get_history("bob", BLOCK))


def test_large_states(client, ada):
    """SG25: what is too large for one statement is written by several, in one transaction."""
    essays = {block: {"essay": f"{n}" * 400_000} for n, block in enumerate(BLOCKS)}
    client.set_many("ada", essays)
    client.set_many("ada", {block: {"n": 1} for block in BLOCKS})
    found = {state.block_key: state.state for state in client.get_many("ada", BLOCKS)}
    assert found == {block: {**essay, "n": 1} for block, essay in essays.items()}


class TestStatementsOnOurTable:
    """Statements of the contract where the row exists for another reason than its state."""

    def test_row_with_a_score_only_has_no_state(self, client, ada):
        """SG1: a row that was made for a score is no state, for one block and for many."""
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        with pytest.raises(client.DoesNotExist):
            client.get("ada", BLOCK)
        assert list(client.get_many("ada", [BLOCK, OTHER], fields=["a"])) == []
        assert list(client.iter_all_for_course(COURSE)) == []

    def test_none_is_stored_as_null(self, client, ada):
        """SG3: a field that is None is found by name, and its history has it."""
        client.set("ada", BLOCK, {"a": None, "b": 1})
        assert client.get("ada", BLOCK, fields=["a"]).state == {"a": None}
        assert StudentModule.objects.get().state == '{"a": null, "b": 1}'
        assert next(client.get_history("ada", BLOCK)).state == {"a": None, "b": 1}
        client.delete("ada", BLOCK, fields=["a"])
        assert client.get("ada", BLOCK, fields=["a"]).state == {}

    def test_block_without_the_requested_fields_is_found(self, client, ada):
        """SG4: other fields, or no fields, are requested: the block is found with {}."""
        client.set_many("ada", {BLOCK: {"a": 1}, OTHER: {"b": 2}})
        for fields, states in (
            (["b"], [{}, {"b": 2}]),
            ([], [{}, {}]),
            (None, [{"a": 1}, {"b": 2}]),
        ):
            found = client.get_many("ada", [BLOCK, OTHER], fields=fields)
            assert [state.state for state in found] == states

    def test_fields_that_were_deleted_do_not_return(self, client, ada):
        """SG6: after a delete of all fields, a set and a score bring none of them back."""
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
