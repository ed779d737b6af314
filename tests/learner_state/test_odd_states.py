"""States and scores that other programs wrote: read as far as possible, written correctly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.xblocks import usage_key
from tests.grader_replies.factories import (
    BLOCK,
    COURSE,
    OLD,
    make_reply,
    make_state,
    make_submission,
    waiting_state,
)
from xqueue_bridge import api
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import deletion
from xqueue_bridge.learner_state.api import read_course_scores
from xqueue_bridge.learner_state.encoding import decode, encode, merge_texts
from xqueue_bridge.learner_state.fields.data_cache import FieldDataCache
from xqueue_bridge.learner_state.fields.key_value_store import FieldKey
from xqueue_bridge.learner_state.fields.models import XModuleStudentInfoField
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule

#: Texts that are no JSON object.
UNREADABLE = ["null", "[]", "5", '"text"', '{"a": 1', "\ufffd", "[" * 10_000, "{'a': 1}"]
NOT_FINITE = ["NaN", "Infinity", "-Infinity", "1e999"]


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada")


def store(user, text: str, **columns: object) -> StudentModule:
    """Store a text as a migration would, without the write path and without history."""
    row = make_state(user.pk)
    StudentModule.objects.filter(pk=row.pk).update(state=text, **columns)
    return row


def fields_of(user) -> dict | None:
    return api.read_state(user.pk, BLOCK, COURSE)


def unreadable_entries() -> list[str]:
    entries = StudentModuleHistory.objects.filter(reason="repair")
    return list(entries.values_list("state", flat=True))


class TestUnreadableState:
    @pytest.mark.parametrize("text", UNREADABLE)
    def test_it_reads_as_no_state(self, ada, text, caplog):
        """SG1: every read finds no state, staff are told where, and the text is not logged."""
        store(ada, text)
        client = api.state_client(ada)
        assert fields_of(ada) is None
        assert list(client.get_many("ada", [BLOCK])) == []
        assert list(client.iter_all_for_block(BLOCK)) == []
        assert list(client.iter_all_for_course(COURSE, "problem")) == []
        assert not deletion.has_attempts(ada.pk, COURSE, BLOCK)
        assert caplog.text.count(str(BLOCK)) >= 4
        assert len(text) < 3 or text not in caplog.text

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_a_save_replaces_it_and_the_history_keeps_it(self, ada, text):
        """SG2, SG28: the new fields are stored; the old text is an entry before theirs."""
        store(ada, text, version=7)
        api.save_fields(ada.pk, COURSE, BLOCK, {"a": 1})
        assert fields_of(ada) == {"a": 1}
        entries = StudentModuleHistory.objects.order_by("version")
        assert list(entries.values_list("version", "state", "reason")) == [
            (7, text, "repair"),
            (8, '{"a": 1}', "state"),
        ]
        api.save_fields(ada.pk, COURSE, BLOCK, {"b": 2})
        assert fields_of(ada) == {"a": 1, "b": 2}
        assert unreadable_entries() == [text]
        found = list(api.read_history(ada.pk, BLOCK, COURSE))
        assert [entry.state for entry in found] == [{"a": 1, "b": 2}, {"a": 1}, None]

    def test_an_entry_that_the_history_has_stays(self, ada):
        """SG28: the write that stored the text has an entry; the repair adds no second one."""
        store(ada, "[]", version=7)
        row = StudentModule.objects.get()
        StudentModuleHistory.objects.create(
            student_module_id=row.pk,
            version=7,
            student_id=ada.pk,
            course_id=COURSE,
            module_state_key=BLOCK,
            state="[]",
            reason="state",
            created=row.modified,
        )
        api.save_fields(ada.pk, COURSE, BLOCK, {"a": 1})
        reasons = StudentModuleHistory.objects.order_by("version").values_list("reason", flat=True)
        assert list(reasons) == ["state", "state"]

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_deleted_state_is_kept_in_the_history(self, ada, text):
        """SG45: a delete empties the row, and its text can still be found."""
        store(ada, text)
        assert deletion.has_state(ada.pk, COURSE, BLOCK)
        assert deletion.clear_state(ada.pk, COURSE, BLOCK)
        assert StudentModule.objects.get().state == "{}"
        assert unreadable_entries() == [text]
        assert not deletion.has_state(ada.pk, COURSE, BLOCK)

    def test_the_client_deletes_all_fields_of_it(self, ada):
        """SG5, SG6: the client's delete works as for any other state."""
        store(ada, "[1]")
        client = api.state_client(ada)
        client.delete("ada", BLOCK, fields=["a"])
        assert StudentModule.objects.get().state == "[1]"
        client.delete("ada", BLOCK)
        assert StudentModule.objects.get().state == "{}"
        assert unreadable_entries() == ["[1]"]

    def test_a_score_is_set_and_the_text_stays(self, ada):
        """SG18: a write of the score does not touch the state's text."""
        store(ada, "[1]")
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        assert StudentModule.objects.get().state == "[1]"
        assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(1, 2)

    def test_attempts_of_it_are_not_reset(self, ada):
        """SG46: without attempts there is nothing to reset, and nothing is written."""
        store(ada, "null")
        assert not api.reset_attempts(ada.pk, COURSE, BLOCK)
        assert not StudentModuleHistory.objects.exists()

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_a_reply_is_stale(self, ada, text):
        """C24: a reply to such a state ends at its first attempt after the grace period."""
        store(ada, text)
        reply = make_reply(make_submission(ada.pk, age=OLD))
        grader_replies.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert (reply.status, reply.attempts, reply.next_attempt_at) == ("stale", 1, None)

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_retirement_empties_it(self, ada, text):
        """SG81: no text is left, readable or not."""
        store(ada, text)
        api.retire_learner(ada.pk)
        assert StudentModule.objects.get().state == "{}"
        states = StudentModuleHistory.objects.values_list("state", flat=True)
        assert set(states) <= {"{}"}


class TestNotFinite:
    @pytest.mark.parametrize("number", NOT_FINITE)
    def test_a_reply_beside_it_is_applied(self, ada, number):
        """C113: a number that is not finite at one answer does not stop the reply to another."""
        state = waiting_state(a_2_1="key-1", a_3_1=None)
        text = json.dumps(state).replace('"npoints": null', f'"npoints": {number}', 2)
        store(ada, text)
        submission = make_submission(ada.pk, points={"a_2_1": 1, "a_3_1": 1}, age=OLD)
        reply = make_reply(submission)
        grader_replies.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert (reply.status, reply.last_error) == ("applied", "")
        after = fields_of(ada)
        assert after["correct_map"]["a_2_1"]["npoints"] == 1
        assert after["correct_map"]["a_3_1"]["npoints"] is None
        assert after["student_answers"] == state["student_answers"]
        assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(1, 2)
        json.loads(StudentModule.objects.get().state, parse_constant=pytest.fail)

    @pytest.mark.parametrize("number", NOT_FINITE)
    def test_the_stored_score_of_the_problem(self, ada, number):
        """C113: a total that is not finite is computed again from the answers."""
        text = json.dumps(waiting_state(a_2_1="key-1"))
        text = text.replace('"raw_possible": 1', f'"raw_possible": {number}')
        store(ada, text)
        grader_replies.apply_reply(make_reply(make_submission(ada.pk, age=OLD)).pk)
        assert fields_of(ada)["score"] == {"raw_earned": 1, "raw_possible": 1}

    @pytest.mark.parametrize("number", NOT_FINITE)
    def test_attempts_are_reset(self, ada, number):
        """SG46: a reset keeps the other fields."""
        store(ada, f'{{"attempts": 3, "weight": {number}, "seed": 1}}')
        assert api.reset_attempts(ada.pk, COURSE, BLOCK)
        assert fields_of(ada) == {"attempts": 0, "weight": None, "seed": 1}

    def test_staff_are_told_when_it_is_rewritten(self, ada, caplog):
        """SG16: the log names the row; NaN within a learner's text is a text."""
        row = store(ada, '{"a": "NaN", "b": [Infinity]}')
        api.save_fields(ada.pk, COURSE, BLOCK, {"c": 1})
        assert fields_of(ada) == {"a": "NaN", "b": [None], "c": 1}
        assert f"StudentModule {row.pk} " in caplog.text
        caplog.clear()
        api.save_fields(ada.pk, COURSE, BLOCK, {"c": 2})
        assert caplog.text == ""

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_it_is_not_written(self, ada, value):
        """SG16: a block's own number that is not finite is refused, and nothing is stored."""
        with pytest.raises(ValueError, match="field 'a'"):
            api.save_fields(ada.pk, COURSE, BLOCK, {"a": [value]})
        assert not StudentModule.objects.exists()


def odd_numbers() -> Iterator[float]:
    """Yield the numbers that are not finite and that the database's columns can hold."""
    if connection.vendor == "postgresql":
        yield math.nan
    if connection.vendor != "mysql":
        yield math.inf
        yield -math.inf
    yield 1e308


class TestScores:
    def test_they_count_as_absent(self, ada):
        """SG55: points that are not finite are none, everywhere that scores are read."""
        for number in odd_numbers():
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=number, max_grade=2)
            earned = number if math.isfinite(number) else None
            assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(earned, 2)
            assert read_course_scores(ada.pk, COURSE)[BLOCK].earned == earned
            found = api.ScoresClient.create_for_locations(COURSE, ada.pk, [BLOCK]).get(BLOCK)
            assert (found.correct, found.total) == (earned, 2)

    def test_a_maximum_leaves_the_block_out(self, ada):
        """SG55: other blocks' scores are read, and the sum is not changed by this one."""
        other = usage_key("problem-other")
        for number in odd_numbers():
            if math.isfinite(number):
                continue
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=1, max_grade=number)
            api.set_score(ada.pk, COURSE, other, 1, 2)
            scores = read_course_scores(ada.pk, COURSE)
            assert {key: score.earned for key, score in scores.items()} == {other: 1}

    def test_a_new_score_replaces_them(self, ada):
        """SG53: a score that is not finite is never the higher one."""
        for number in odd_numbers():
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=number, max_grade=number)
            is_higher = not math.isfinite(number)
            assert api.publish_score(ada.pk, COURSE, BLOCK, 0.5, 2, only_if_higher=True) is (
                is_higher
            )

    def test_a_save_of_the_state_repairs_the_row(self, ada):
        """SG18: a state is saved beside such a score, on every database."""
        for number in odd_numbers():
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=number, max_grade=2)
            api.save_fields(ada.pk, COURSE, BLOCK, {"a": 1})
            assert fields_of(ada) == {"a": 1}
            grade = StudentModule.objects.get().grade
            assert grade is None or math.isfinite(grade)


def test_a_broken_field_reads_as_its_default(ada, caplog):
    """SG31: a value that is not JSON is as if not stored; the learner's other fields are read."""
    now = get_user_model().objects.get().date_joined
    for name, value in {"broken": "{", "number": "NaN", "good": '"eo"'}.items():
        XModuleStudentInfoField.objects.create(
            student=ada, field_name=name, value=value, created=now, modified=now
        )
    cache = FieldDataCache([], COURSE, ada)
    key = {name: FieldKey("user_info", ada.pk, None, name) for name in ("broken", "number", "good")}
    assert not cache.has(key["broken"])
    assert (cache.get(key["number"]), cache.get(key["good"])) == (None, "eo")
    assert "not JSON" in caplog.text
    cache.set(key["broken"], "whole")
    assert FieldDataCache([], COURSE, ada).get(key["broken"]) == "whole"


@given(st.text())
def test_any_text_is_decoded(text):
    """SG14: no stored text raises, and what is read can be written again."""
    fields = decode(text)
    assert decode(encode(fields)) == fields
    assert decode(merge_texts(fields, '{"a": 1}')) == fields | {"a": 1}


json_texts = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
).map(json.dumps)


@given(json_texts)
def test_any_json_is_decoded(text):
    """SG14: NaN and Infinity, at any depth, are read as null, and never written."""
    fields = decode(text)
    json.loads(encode(fields), parse_constant=pytest.fail)
    assert decode(encode(fields)) == fields
