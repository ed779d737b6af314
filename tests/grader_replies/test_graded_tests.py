"""Tests and staff note of a reply: bounds, storage, and the learner's table."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.learner_state.test_encoding import json_values
from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge.data import GradedTest, GraderReply
from xqueue_bridge.grader_replies import graded_tests
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK, make_feedback
from xqueue_bridge.grader_replies.inbox import learner_message
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.protocol.schemas import schema
from xqueue_bridge.submission_queue import api as submission_queue

GOOD = {"correct": True, "score": 1, "msg": "<p>ok</p>"}
SHOWN = {"name": "loop", "score": 1, "max_score": 2, "message": "one <b> of\ntwo", "visible": True}
HIDDEN = {"name": "secret", "score": 0.5, "max_score": 1, "message": "seed 7", "visible": False}
ITEM = Draft202012Validator(schema("result-1")["properties"]["tests"])


def parsed(**members: object) -> GraderReply:
    return parse_reply(json.dumps({**GOOD, **members}))


def codes(reply: GraderReply) -> list[str]:
    return [str(each.code) for each in reply.warnings]


def test_tests_and_note_are_parsed():
    reply = parsed(tests=[SHOWN, HIDDEN], staff_note="seed 7")
    assert reply.tests == (GradedTest(**SHOWN), GradedTest(**HIDDEN))
    assert (reply.staff_note, codes(reply)) == ("seed 7", [])


@pytest.mark.parametrize(
    ("tests", "member"),
    [
        ("3 of 5", "tests"),
        ({"a": 1}, "tests"),
        ([["a", "b"]], "tests[0]"),
        ([SHOWN, {**SHOWN, "name": 3}], "tests[1].name"),
        ([{"name": "a", "max_score": 1}], "tests[0].score"),
        ([{**SHOWN, "score": "1"}], "tests[0].score"),
        ([{**SHOWN, "score": True}], "tests[0].score"),
        ([{**SHOWN, "score": -1}], "tests[0].score"),
        ([{**SHOWN, "max_score": 1e10}], "tests[0].max_score"),
        ([{**SHOWN, "max_score": 10**400}], "tests[0].max_score"),
        ([{**SHOWN, "message": None}], "tests[0].message"),
        ([{**SHOWN, "visible": "false"}], "tests[0].visible"),
    ],
)
def test_malformed_tests_cost_no_grade(tests, member):
    """C92: members beyond the contract never refuse a grade; a hidden test is never shown."""
    reply = parsed(tests=tests)
    assert (reply.score, reply.tests, codes(reply)) == (1, (), ["tests_ignored"])
    assert reply.warnings[0].data == {"member": member}


@pytest.mark.parametrize(
    ("points", "is_kept"), [(0, True), (1e9, True), (1e9 + 1, False), (-1e-9, False)]
)
def test_points_of_a_test_are_0_to_1e9(points, is_kept):
    tests = [{**SHOWN, "max_score": points}]
    assert (parsed(tests=tests).tests != ()) is ITEM.is_valid(tests) is is_kept


@pytest.mark.parametrize(
    ("note", "kept", "code"),
    [
        (3, "", "staff_note_ignored"),
        (["seed 7"], "", "staff_note_ignored"),
        ("n" * 10_000, "n" * 10_000, None),
        ("n" * 10_001, "n" * 10_000, "staff_note_shortened"),
        (None, "", None),
    ],
)
def test_malformed_or_long_staff_note_costs_no_grade(note, kept, code):
    reply = parsed(staff_note=note)
    assert (reply.score, reply.staff_note, codes(reply)) == (1, kept, [code] if code else [])


def test_score_of_a_test_that_is_not_finite_is_ignored():
    reply = parse_reply('{"correct": true, "score": 1, "tests": [{"name": "a", "score": NaN}]}')
    assert (reply.tests, codes(reply)) == ((), ["tests_ignored"])


def test_too_many_and_too_long_tests_are_shortened():
    long = {**SHOWN, "name": "n" * 1000, "message": "m" * 10_000}
    reply = parsed(tests=[long] * 300)
    assert codes(reply) == ["tests_shortened"]
    assert len(reply.tests) == graded_tests.MAX_TESTS
    first, last = reply.tests[0], reply.tests[-1]
    assert (len(first.name), len(first.message)) == (200, 4000)
    assert (last.name, last.message) == ("", "")
    texts = sum(len(test.name) + len(test.message) for test in reply.tests)
    assert texts <= graded_tests.MAX_CHARACTERS


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(SHOWN, json_values)), max_size=3))
def test_schema_describes_the_tests_that_are_kept(tests):
    """One form, written once as a schema and once as a parser."""
    assert ITEM.is_valid(tests) == ("tests_ignored" not in codes(parsed(tests=tests)))


texts = st.text(st.characters(), min_size=1, max_size=50)
graded = st.builds(
    dict, name=texts, score=st.floats(0, 1e9), max_score=st.integers(0, 10), message=texts
)


@given(st.lists(graded, min_size=1, max_size=4))
def test_any_text_of_a_test_is_well_formed_and_without_markup(tests):
    """C112: names and messages are text, whatever is in them."""
    table = learner_message(parsed(tests=tests, msg=""))
    root = ElementTree.fromstring(f"<x>{table}</x>")
    allowed = {"x", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "p"}
    assert {each.tag for each in root.iter()} <= allowed
    assert make_feedback(table) == table, "sanitising changes nothing"


def test_learner_sees_visible_tests_and_how_many_are_hidden():
    shown = learner_message(parsed(tests=[SHOWN, HIDDEN]))
    assert shown.startswith("<p>ok</p><div")
    assert '<caption>Tests</caption><thead><tr><th scope="col">Test</th>' in shown
    assert '<th scope="row">loop</th><td>1 of 2</td><td><pre>one &lt;b&gt; of\ntwo</pre>' in shown
    assert "Tests that are not shown: 1" in shown
    assert "secret" not in shown
    assert "seed" not in shown


def test_without_a_visible_test_there_is_no_table():
    shown = learner_message(parsed(tests=[HIDDEN], msg=""))
    assert shown == '<div class="external-grader-tests"><p>Tests that are not shown: 1</p></div>'
    assert learner_message(parsed(msg="")) == NO_FEEDBACK


def test_table_is_in_the_active_language():
    with translation.override("en-xa"):
        assert "<caption>Tests</caption>" not in learner_message(parsed(tests=[SHOWN]))


@pytest.mark.django_db
class TestStored:
    def put(self, **members: object):
        submission_queue.enqueue(new_submission())
        grader = make_grader()
        pulled = grader.http.get("/xqueue/get_submission/", {"queue_name": "python"})
        assert pulled["X-XQueue-Result-Version"] == "1"
        header = json.loads(pulled.json()["content"])["xqueue_header"]
        body = json.dumps({**GOOD, **members})
        form = {"xqueue_header": header, "xqueue_body": body}
        return grader, form, grader.http.post("/xqueue/put_result/", form)

    def test_ordinary_result_is_answered_byte_for_byte_as_before(self):
        """C54: nothing but the envelope, and no header of our own."""
        _, _, response = self.put()
        assert response.content == b'{"return_code": 0, "content": ""}'
        assert not [name for name in response.headers if name.startswith("X-XQueue")]
        stored = ReceivedReply.objects.get()
        assert (stored.message, stored.tests, stored.staff_note, stored.codes) == (
            "<p>ok</p>",
            [],
            "",
            [],
        )

    def test_tests_and_note_are_stored_as_data(self):
        _, _, response = self.put(tests=[SHOWN, HIDDEN], staff_note="look at 7")
        assert response.json() == {"return_code": 0, "content": ""}
        stored = ReceivedReply.objects.get()
        assert (stored.tests, stored.staff_note) == ([SHOWN, HIDDEN], "look at 7")
        assert "external-grader-tests" in stored.message

    def test_warnings_are_in_a_header_and_beside_the_reply(self):
        grader, form, response = self.put(score=-1, correct=False)
        warnings = [{"code": "score_below_zero", "field": "score", "data": {"score": -1}}]
        assert json.loads(response["X-XQueue-Warnings"]) == warnings
        assert ReceivedReply.objects.get().codes == warnings
        again = grader.http.post("/xqueue/put_result/", form)
        assert [each["code"] for each in json.loads(again["X-XQueue-Warnings"])] == ["duplicate"]

    def test_refusal_has_a_code_and_names_the_field(self):
        _, _, response = self.put(score="many")
        assert response["X-XQueue-Code"] == "score_not_a_number"
        assert response["X-XQueue-Problem"] == "score: must be a number"
        stored = ReceivedReply.objects.get()
        assert stored.codes == [{"code": "score_not_a_number", "field": "score", "data": {}}]
