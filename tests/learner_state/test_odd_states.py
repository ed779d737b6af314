"""States and scores written by other programs: reading, replacing and deleting them."""

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
NOT_FINITE = [
    *("NaN", "Infinity", "-Infinity", "1e999"),
    pytest.param("1" + "0" * 400, id="400 digits"),
    pytest.param("-1" + "0" * 5_000, id="5,000 digits"),
]


def store(user, text: str, **columns: object) -> StudentModule:
    """Store a text without the write path and without history, as a migration does."""
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
    def test_unreadable_state_reads_as_absent_and_is_logged(self, ada, text, caplog):
        """SG1: return no state on every read, log the block, and do not log the text."""
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
    def test_save_replaces_the_text_and_the_history_keeps_it(self, ada, text):
        """SG2, SG28: store the new fields, and the former text as an entry before them."""
        store(ada, text, version=7)
        written_at = StudentModule.objects.get().modified
        api.save_fields(ada.pk, COURSE, BLOCK, {"a": 1})
        assert fields_of(ada) == {"a": 1}
        entries = StudentModuleHistory.objects.order_by("version")
        assert entries[0].created == written_at
        assert list(entries.values_list("version", "state", "reason")) == [
            (7, text, "repair"),
            (8, '{"a": 1}', "state"),
        ]
        api.save_fields(ada.pk, COURSE, BLOCK, {"b": 2})
        assert fields_of(ada) == {"a": 1, "b": 2}
        assert unreadable_entries() == [text]
        found = list(api.read_history(ada.pk, BLOCK, COURSE))
        assert [entry.state for entry in found] == [{"a": 1, "b": 2}, {"a": 1}, None]

    def test_save_adds_no_second_entry_of_the_text(self, ada):
        """SG28: add no entry of the text, if the write that stored it has one."""
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
    def test_delete_empties_the_row_and_the_history_keeps_the_text(self, ada, text):
        """SG45: empty the row, and keep its text in the history."""
        store(ada, text)
        assert deletion.has_state(ada.pk, COURSE, BLOCK)
        assert deletion.clear_state(ada.pk, COURSE, BLOCK)
        assert StudentModule.objects.get().state == "{}"
        assert unreadable_entries() == [text]
        assert not deletion.has_state(ada.pk, COURSE, BLOCK)

    def test_client_delete_of_all_fields_empties_the_state(self, ada):
        """SG5, SG6: delete all fields with the client, as of any other state."""
        store(ada, "[1]")
        client = api.state_client(ada)
        client.delete("ada", BLOCK, fields=["a"])
        assert StudentModule.objects.get().state == "[1]"
        client.delete("ada", BLOCK)
        assert StudentModule.objects.get().state == "{}"
        assert unreadable_entries() == ["[1]"]

    def test_set_score_keeps_the_text(self, ada):
        """SG18: write the score without changing the state's text."""
        store(ada, "[1]")
        api.set_score(ada.pk, COURSE, BLOCK, 1, 2)
        assert StudentModule.objects.get().state == "[1]"
        assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(1, 2)

    def test_reset_without_attempts_writes_nothing(self, ada, caplog):
        """SG46: write nothing if the state has no attempts, and log that it cannot be read."""
        store(ada, "null")
        assert not api.reset_attempts(ada.pk, COURSE, BLOCK)
        assert f"{BLOCK}: its state is no JSON object" in caplog.text
        assert not StudentModuleHistory.objects.exists()

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_reply_to_an_unreadable_state_is_stale(self, ada, text):
        """C24: set the reply to stale at its first attempt after the grace period."""
        store(ada, text)
        reply = make_reply(make_submission(ada.pk, age=OLD))
        grader_replies.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert (reply.status, reply.attempts, reply.next_attempt_at) == ("stale", 1, None)

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_retirement_empties_an_unreadable_state(self, ada, text):
        """SG81: remove every text, readable or not."""
        store(ada, text)
        api.retire_learner(ada.pk)
        assert StudentModule.objects.get().state == "{}"
        states = StudentModuleHistory.objects.values_list("state", flat=True)
        assert set(states) <= {"{}"}


class TestNotFinite:
    @pytest.mark.parametrize("number", NOT_FINITE)
    def test_reply_is_applied_beside_a_number_that_is_not_finite(self, ada, number):
        """C113: apply the reply to one answer, although another has a number that is not finite."""
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
    def test_total_that_is_not_finite_is_computed_from_the_answers(self, ada, number):
        """C113: compute a total that is not finite again from the answers."""
        text = json.dumps(waiting_state(a_2_1="key-1"))
        text = text.replace('"raw_possible": 1', f'"raw_possible": {number}')
        store(ada, text)
        grader_replies.apply_reply(make_reply(make_submission(ada.pk, age=OLD)).pk)
        assert fields_of(ada)["score"] == {"raw_earned": 1, "raw_possible": 1}

    @pytest.mark.parametrize("number", NOT_FINITE)
    def test_reset_keeps_the_other_fields(self, ada, number):
        """SG46: set the attempts to 0, and keep the other fields."""
        store(ada, f'{{"attempts": 3, "weight": {number}, "seed": 1}}')
        assert api.reset_attempts(ada.pk, COURSE, BLOCK)
        assert fields_of(ada) == {"attempts": 0, "weight": None, "seed": 1}

    @pytest.mark.parametrize(
        ("text", "number"), [("x\ny", "NaN"), ("x", "Infinity"), ("NaN", "-Infinity")]
    )
    def test_rewrite_of_a_number_that_is_not_finite_is_logged(self, ada, caplog, text, number):
        """SG16: name the row in the log, and keep the text "NaN" of a learner."""
        row = store(ada, f'{{"a": "{text}", "b": [{number}, {"9" * 5_000}]}}')
        api.save_fields(ada.pk, COURSE, BLOCK, {"c": 1})
        assert fields_of(ada) == {"a": text, "b": [None, None], "c": 1}
        assert f"StudentModule {row.pk} " in caplog.text
        caplog.clear()
        api.save_fields(ada.pk, COURSE, BLOCK, {"c": 2})
        assert fields_of(ada)["c"] == 2
        assert caplog.text == ""

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_save_of_a_number_that_is_not_finite_is_an_error(self, ada, value):
        """SG16: refuse a block's number that is not finite, and store nothing."""
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
    def test_points_that_are_not_finite_are_read_as_absent(self, ada):
        """SG55: return None for points that are not finite, wherever scores are read."""
        for number in odd_numbers():
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=number, max_grade=2)
            earned = number if math.isfinite(number) else None
            assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(earned, 2)
            assert read_course_scores(ada.pk, COURSE)[BLOCK].earned == earned
            found = api.ScoresClient.create_for_locations(COURSE, ada.pk, [BLOCK]).get(BLOCK)
            assert (found.correct, found.total) == (earned, 2)

    def test_block_with_a_maximum_that_is_not_finite_is_left_out(self, ada):
        """SG55: read the scores of other blocks, and leave this one out of the sum."""
        other = usage_key("problem-other")
        for number in odd_numbers():
            if math.isfinite(number):
                continue
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=1, max_grade=number)
            api.set_score(ada.pk, COURSE, other, 1, 2)
            scores = read_course_scores(ada.pk, COURSE)
            assert {key: score.earned for key, score in scores.items()} == {other: 1}

    def test_new_score_replaces_one_that_is_not_finite(self, ada):
        """SG53: treat no score that is not finite as the higher one."""
        for number in odd_numbers():
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=number, max_grade=number)
            is_higher = not math.isfinite(number)
            assert api.publish_score(ada.pk, COURSE, BLOCK, 0.5, 2, only_if_higher=True) is (
                is_higher
            )

    def test_save_of_the_state_repairs_the_score(self, ada, caplog):
        """SG18: save a state beside a score that is not finite, in every database, and log it."""
        for number in odd_numbers():
            caplog.clear()
            StudentModule.objects.all().delete()
            store(ada, "{}", grade=number, max_grade=2)
            api.save_fields(ada.pk, COURSE, BLOCK, {"a": 1})
            assert fields_of(ada) == {"a": 1}
            assert StudentModule.objects.get().grade == (number if math.isfinite(number) else None)
            assert ("score is not finite" in caplog.text) is not math.isfinite(number)


def test_field_that_is_no_json_reads_as_absent(ada, caplog):
    """SG31: read a value that is no JSON as absent, and the learner's other fields."""
    now = get_user_model().objects.get().date_joined
    values = {"broken": "{", "deep": "[" * 100_000, "number": "NaN", "good": '"eo"'}
    for name, value in values.items():
        XModuleStudentInfoField.objects.create(
            student=ada, field_name=name, value=value, created=now, modified=now
        )
    cache = FieldDataCache([], COURSE, ada)
    key = {name: FieldKey("user_info", ada.pk, None, name) for name in values}
    assert [cache.has(each) for each in key.values()] == [False, False, True, True]
    assert (cache.get(key["number"]), cache.get(key["good"])) == (None, "eo")
    assert "not JSON" in caplog.text
    cache.set(key["broken"], "whole")
    assert FieldDataCache([], COURSE, ada).get(key["broken"]) == "whole"


@given(st.text())
def test_random_texts_are_decoded_without_an_error(text):
    """SG14: decode any stored text into fields that can be encoded again."""
    fields = decode(text)
    assert decode(encode(fields)) == fields
    assert decode(merge_texts(fields, '{"a": 1}')) == fields | {"a": 1}


json_texts = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
).map(json.dumps)


@given(json_texts)
def test_numbers_that_are_not_finite_are_decoded_as_null(text):
    """SG14: read NaN and Infinity at any depth as null, and never write them."""
    fields = decode(text)
    json.loads(encode(fields), parse_constant=pytest.fail)
    assert decode(encode(fields)) == fields
