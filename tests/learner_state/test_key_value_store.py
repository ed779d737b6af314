"""The key value store, alone and with XBlock's own runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from xblock.exceptions import InvalidScopeError, KeyValueMultiSaveError
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from tests.doubles.xblocks import COURSE, make_block, usage_key
from xqueue_bridge import api
from xqueue_bridge.learner_state.fields import key_value_store
from xqueue_bridge.learner_state.fields.data_cache import FieldDataCache
from xqueue_bridge.learner_state.fields.key_value_store import DjangoKeyValueStore, FieldKey

POLL = usage_key("poll-lunch")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(ada):
    return FieldDataCache([], COURSE, ada)


@pytest.fixture
def kvs(cache):
    return DjangoKeyValueStore(cache)


def keys(user):
    return {
        DjangoKeyValueStore.Key(Scope.user_state, user.pk, POLL, "choice"): "soup",
        DjangoKeyValueStore.Key(Scope.user_state_summary, None, POLL, "counts"): {"soup": 1},
        DjangoKeyValueStore.Key(Scope.preferences, user.pk, "poll", "speed"): 2,
        DjangoKeyValueStore.Key(Scope.user_info, user.pk, None, "language"): "eo",
    }


def test_fields_are_set_read_and_deleted(ada, kvs):
    for key, value in keys(ada).items():
        assert not kvs.has(key)
        kvs.set(key, value)
        assert kvs.has(key)
        assert kvs.get(key) == value
        kvs.delete(key)
        for missing in (kvs.get, kvs.delete, kvs.default):
            with pytest.raises(KeyError, match=key.field_name):
                missing(key)


def test_set_many_stores_fields_of_every_scope(ada, kvs):
    kvs.set_many(keys(ada))
    fresh = DjangoKeyValueStore(FieldDataCache([], COURSE, ada))
    assert {key: fresh.get(key) for key in keys(ada)} == keys(ada)


def test_unsupported_scope_is_an_error(ada, kvs):
    """SG9: raise an error that names the scope and the supported ones."""
    key = DjangoKeyValueStore.Key(Scope.content, None, POLL, "data")
    for access in (kvs.get, kvs.has, kvs.delete, lambda key: kvs.set(key, 1)):
        with pytest.raises(InvalidScopeError) as caught:
            access(key)
        assert "content" in caught.value.message
        assert "user_state_summary" in caught.value.message


def test_field_key_equals_xblocks_key():
    ours = FieldKey(Scope.user_state, 7, POLL, "choice")
    theirs = KeyValueStore.Key(Scope.user_state, 7, POLL, "choice")
    assert ours == theirs
    assert hash(ours) == hash(theirs)
    assert KeyValueStore.Key._fields == FieldKey._fields


def test_store_has_every_public_method_of_xblocks_store():
    needed = {name for name in vars(KeyValueStore) if not name.startswith("_")}
    assert needed <= set(dir(DjangoKeyValueStore))


def test_exceptions_are_those_of_xblock():
    assert key_value_store.InvalidScopeError is InvalidScopeError
    assert key_value_store.KeyValueMultiSaveError is KeyValueMultiSaveError


def test_modules_are_imported_and_used_without_xblock():
    """SG86: import and use the modules where XBlock is not installed."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_XBLOCK],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    scope, saved = done.stdout.splitlines()
    assert scope.startswith("Invalid scope: content. Valid scopes are:")
    assert saved == "['a']"


WITHOUT_XBLOCK = """
import sys
sys.modules.update(dict.fromkeys(["xblock", "xblocks_contrib"]))  # importing them fails
from django.conf import settings
settings.INSTALLED_APPS.remove("xblocks_contrib.problem.capa")
import django
django.setup()
from django.contrib.auth.models import AnonymousUser
from opaque_keys.edx.keys import CourseKey
from xqueue_bridge.learner_state import crawlers
from xqueue_bridge.learner_state.fields import data_cache
from xqueue_bridge.learner_state.fields import key_value_store
from xqueue_bridge.learner_state.scores import max_scores_cache
from xqueue_bridge.learner_state.scores import client
course = CourseKey.from_string("course-v1:DemoX+CS101+2026")
kvs = key_value_store.DjangoKeyValueStore(
    data_cache.FieldDataCache([], course, AnonymousUser())
)
try:
    kvs.get(kvs.Key("content", None, None, "data"))
except key_value_store.InvalidScopeError as error:
    print(error.message)
print(key_value_store.KeyValueMultiSaveError(["a"]).saved_field_names)
"""


class TestBlocks:
    """Blocks with XBlock's own runtime."""

    def test_saved_fields_of_every_scope_are_read_by_a_new_block(self, ada, cache):
        poll = make_block(ada, cache, "poll-lunch")
        poll.choice, poll.counts, poll.speed, poll.language = "soup", {"soup": 1}, 2, "eo"
        poll.save()
        again = make_block(ada, FieldDataCache([], COURSE, ada), "poll-lunch")
        assert (again.choice, again.counts, again.speed, again.language) == (
            "soup",
            {"soup": 1},
            2,
            "eo",
        )

    def test_each_scope_is_shared_by_its_blocks_and_learners(self, ada, cache):
        poll = make_block(ada, cache, "poll-lunch")
        poll.choice, poll.counts, poll.speed, poll.language = "soup", {"soup": 1}, 2, "eo"
        poll.save()
        bo = get_user_model().objects.create_user("bo")
        for user, name, shared in [
            (ada, "poll-dinner", (None, {}, 2, "eo")),
            (bo, "poll-lunch", (None, {"soup": 1}, 1, "en")),
        ]:
            seen = make_block(user, FieldDataCache([], COURSE, user), name)
            assert (seen.choice, seen.counts, seen.speed, seen.language) == shared

    def test_defaults_are_read_and_not_stored(self, ada, cache):
        problem = make_block(ada, cache, "problem-sums")
        assert (problem.attempts, problem.answers) == (0, [])
        problem.save()
        assert api.read_state(ada.pk, usage_key("problem-sums"), COURSE) is None

    def test_field_changed_in_place_is_saved(self, ada, cache):
        for answer in "ab":
            problem = make_block(ada, cache, "problem-sums")
            problem.answers.append(answer)
            problem.save()
        state = api.read_state(ada.pk, usage_key("problem-sums"), COURSE)
        assert state == {"answers": ["a", "b"]}

    def test_deleted_field_has_its_default(self, ada, cache):
        problem = make_block(ada, cache, "problem-sums")
        problem.attempts, problem.answers = 3, ["a"]
        problem.save()
        del problem.attempts
        assert problem.attempts == 0
        assert api.read_state(ada.pk, usage_key("problem-sums"), COURSE) == {"answers": ["a"]}

    def test_save_of_two_fields_is_one_history_entry(self, ada, cache):
        problem = make_block(ada, cache, "problem-sums")
        problem.attempts, problem.answers = 3, ["a"]
        problem.save()
        entries = list(api.read_history(ada.pk, usage_key("problem-sums"), COURSE))
        assert [entry.state for entry in entries] == [{"attempts": 3, "answers": ["a"]}]

    def test_named_tuple_is_stored_as_an_object(self, ada, cache):
        """Store capa's scores as objects: capa fails on a state with lists."""
        key = FieldKey(Scope.user_state, ada.pk, POLL, "score")
        cache.set(key, namedtuple("Score", "raw_earned raw_possible")(1, 2))
        expected = {"raw_earned": 1, "raw_possible": 2}
        assert cache.get(key) == expected
        assert json.dumps(api.read_state(ada.pk, POLL, COURSE)["score"]) == json.dumps(expected)


def test_errors_are_those_of_xblock_or_alike(monkeypatch):
    """SG86: without XBlock, errors have the same texts and attributes."""
    ours, upstream = key_value_store._InvalidScopeError, InvalidScopeError
    for valid in (None, ["user_state"]):
        assert str(ours("other", valid)) == upstream("other", valid).message
    assert key_value_store._KeyValueMultiSaveError(["a"]).saved_field_names == ["a"]
    assert key_value_store._xblocks_own("InvalidScopeError", ours) is upstream

    def not_installed(name):
        raise ImportError(name)

    monkeypatch.setattr(key_value_store, "import_module", not_installed)
    assert key_value_store._xblocks_own("InvalidScopeError", ours) is ours
