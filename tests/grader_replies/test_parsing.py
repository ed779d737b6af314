"""Parsing of a grader's text into a reply: pure."""

from __future__ import annotations

import json
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xblocks_contrib.problem.capa.responsetypes import CodeResponse

from tests.grader_replies.test_feedback import markup
from tests.learner_state.test_encoding import json_values
from xqueue_bridge.data import GraderReply
from xqueue_bridge.exceptions import InvalidReply
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK
from xqueue_bridge.grader_replies.inbox import failure_reply
from xqueue_bridge.grader_replies.parsing import parse_reply, write_reply
from xqueue_bridge.protocol.codes import Code


def reply_text(**members):
    return json.dumps({"correct": True, "score": 1, "msg": "<p>ok</p>", **members})


def test_valid_text_gives_correct_score_and_msg():
    reply = parse_reply('{"correct": true, "score": 0.5, "msg": "<p>Half of it.</p>"}')
    assert (reply.correct, reply.score, reply.msg) == (True, 0.5, "<p>Half of it.</p>")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [(True, True), (False, False), (None, False), (1, True), (0, False), (1.0, True)]
    + [("True", True), ("False", False), ("true", True), ("FALSE", False)],
)
def test_correct_is_read_from_bool_number_text_or_null(sent, meant):
    """C92, C123: the values that graders write are read as true or false; null is false."""
    assert parse_reply(reply_text(correct=sent)).correct is meant


@pytest.mark.parametrize("sent", ["yes", "", "1", " true", 2, -1, 0.5, [], {}, [True]])
def test_other_value_of_correct_is_refused(sent):
    """C92: no other value counts as true."""
    with pytest.raises(InvalidReply, match="^correct: ") as refused:
        parse_reply(reply_text(correct=sent))
    assert (refused.value.field, refused.value.code) == ("correct", Code.CORRECT_INVALID)


@pytest.mark.parametrize("sent", [0, 1, 7, 0.8, 1.0, -3, 1e300, 10**30])
def test_score_is_kept_as_sent(sent):
    """C94: the grader's number is points, and keeps its type."""
    score = parse_reply(reply_text(score=sent)).score
    assert score == sent
    assert type(score) is type(sent)


@pytest.mark.parametrize(("sent", "points"), [(True, 1), (False, 0)])
def test_score_that_is_a_bool_is_0_or_1(sent, points):
    """C96: true is one point, false none."""
    score = parse_reply(reply_text(score=sent)).score
    assert score == points
    assert type(score) is int


@pytest.mark.parametrize(
    "sent",
    ["NaN", "Infinity", "-Infinity", "1e999", "null", '"1"', '"0.5"', "[]", "{}", "[1]"]
    + ["1" + "0" * 400],
)
def test_score_must_be_a_finite_number(sent):
    """C97: anything but a finite number is refused."""
    with pytest.raises(InvalidReply, match="^score: "):
        parse_reply('{"correct": true, "score": %s, "msg": "x"}' % sent)


@pytest.mark.parametrize("missing", ["correct", "score"])
def test_missing_correct_or_score_is_refused(missing):
    """C92: a reply without a grade is invalid."""
    members = json.loads(reply_text())
    del members[missing]
    with pytest.raises(InvalidReply, match=f"^{missing}: is missing$"):
        parse_reply(json.dumps(members))


@pytest.mark.parametrize("msg", ["", " ", "\n\t", None, "\x00\x07", "<script>x</script>"])
def test_empty_msg_becomes_an_empty_element(msg):
    """C93: capa accepts the element as a message."""
    assert parse_reply(reply_text(msg=msg)).msg == NO_FEEDBACK
    members = json.loads(reply_text())
    del members["msg"]
    assert parse_reply(json.dumps(members)).msg == NO_FEEDBACK


@pytest.mark.parametrize(("msg", "shown"), [(3, "3"), (0.5, "0.5"), (True, "True")])
def test_msg_that_is_a_number_or_bool_is_shown_as_text(msg, shown):
    assert parse_reply(reply_text(msg=msg)).msg == shown


@pytest.mark.parametrize("msg", [[], {}, ["x"], {"html": "x"}])
def test_msg_that_is_a_list_or_object_is_refused(msg):
    """C92: msg is text."""
    with pytest.raises(InvalidReply, match="^msg: "):
        parse_reply(reply_text(msg=msg))


def test_code_points_that_xml_refuses_are_removed_from_msg():
    """C93: the other characters are shown."""
    text = '{"correct": true, "score": 1, "msg": "<p>a\\u0007b\\ud800c\\u0000</p>"}'
    assert parse_reply(text).msg == "<p>abc</p>"


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "null", "true", "3", "[]", '"{}"', "{", "\ufeff", "[" * 100_000, "{'a': 1}"]
    + ['{"a":' * 100_000, '{"correct": true, "score": ' + "1" * 5000 + ', "msg": "x"}'],
)
def test_text_that_is_no_json_object_is_refused(text):
    """C92: the body is a JSON object."""
    with pytest.raises(InvalidReply, match="^xqueue_body: "):
        parse_reply(text)


@pytest.mark.parametrize("text", ["\ufeff\ufeff{}", "\r\n\ufeff{}\r\n", "{}\0", "{}\ufeff"])
def test_what_programs_write_around_json_is_ignored(text):
    """C92: byte order marks, white space, and the end of a C string do not change the object."""
    assert parse_reply(text.replace("{}", reply_text(score=1))).score == 1


def test_line_ends_and_control_characters_in_texts_are_read():
    """C92: shell scripts write a program's output into the JSON as it is."""
    text = '{"correct": true, "score": 1, "msg": "<pre>a\nb\tc\x1b[0m</pre>"}'
    assert parse_reply(text).msg == "<pre>a\nb\tc[0m</pre>"


@pytest.mark.parametrize("text", [None, 3, {"correct": True}, b"{}"])
def test_value_that_is_no_text_is_refused(text):
    with pytest.raises(InvalidReply, match="^xqueue_body: must be text$"):
        parse_reply(text)


def test_extra_members_are_ignored():
    assert parse_reply(reply_text(errors=[], tests=[["a", "b"]])) == parse_reply(reply_text())


def test_msg_alone_is_valid_for_a_trial_run():
    """C117: a reply to a trial run needs msg only."""
    reply = parse_reply('{"msg": "<p>ans = 3</p>"}', graded=False)
    assert reply == GraderReply(correct=False, score=0, msg="<p>ans = 3</p>")
    with pytest.raises(InvalidReply, match="^correct: is missing$"):
        parse_reply('{"msg": "<p>ans = 3</p>"}')


def test_failure_reply_is_valid_and_calls_it_a_fault_of_the_service():
    """C123: it is parsed like a grader's reply and has the form of XQueue's own."""
    assert json.loads(failure_reply()) == {
        "correct": None,
        "score": 0,
        "msg": '<div class="capa_alert">Your submission could not be graded, because of a fault of '
        "the grading service. This says nothing about your answer. You can submit it again; if the "
        "problem persists, please notify the course staff.</div>",
    }
    reply = parse_reply(failure_reply())
    assert (reply.correct, reply.score) == (False, 0)
    assert reply.msg == json.loads(failure_reply())["msg"]


def test_error_has_no_text_of_the_reply():
    secret = "hunter2"
    for text in (f"{secret}", reply_text(score=secret), reply_text(correct=secret)):
        with pytest.raises(InvalidReply) as refused:
            parse_reply(text)
        assert secret not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def capa_accepts(reply):
    valid, _correct, score, msg = CodeResponse._parse_score_msg(
        None, write_reply(reply, score=reply.score)
    )
    return valid and score == reply.score and msg == reply.msg


def check(text):
    try:
        reply = parse_reply(text)
    except InvalidReply as refused:
        assert refused.field in ("xqueue_body", "correct", "score", "msg")
        return
    assert isinstance(reply.correct, bool)
    assert type(reply.score) in (int, float)
    assert isfinite(reply.score)
    assert reply.msg.strip()
    assert capa_accepts(reply), "no written reply may delete a learner's answer"
    again = parse_reply(write_reply(reply, score=reply.score))
    assert again == reply, "what we write is what we read"


@given(st.text(st.characters()))
def test_any_text_is_a_reply_or_invalid_reply(text):
    check(text)


@given(
    st.fixed_dictionaries(
        {"correct": json_values, "score": json_values | st.floats(), "msg": json_values}
    )
    | st.dictionaries(st.sampled_from(["correct", "score", "msg", "x"]), json_values)
)
def test_any_json_is_a_reply_or_invalid_reply(members):
    check(json.dumps(members))


@given(markup)
def test_any_feedback_is_accepted_by_capa(msg):
    """C112: capa's own parser accepts every reply that is written for it."""
    check(reply_text(msg=msg))


@given(
    st.booleans() | st.none(),
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    st.text(),
)
def test_any_valid_reply_is_parsed(correct, score, msg):
    """C92: each reply that follows the grade contract is accepted."""
    text = json.dumps({"correct": correct, "score": score, "msg": msg})
    if abs(score) < 1e300:
        assert parse_reply(text).score == score


@pytest.mark.parametrize(
    ("msg", "made", "is_shortened"),
    [
        ("a" * 40, "a" * 40, False),
        ("a" * 41, "a" * 40, True),
        ("é" * 30, "é" * 20, True),
        ("<b>" + "a" * 50, "<b>" + "a" * 37 + "</b>", True),
        ("a" * 30 + "<span class='x'>b</span>", "a" * 30, True),
        ("<i></i>" * 9, "<i></i>" * 5 + "<i></i>", True),
        ("x<b>" + "a" * 50, "x<b>" + "a" * 36 + "</b>", True),
        ("a" * 30 + " <b", "a" * 30 + " &lt;b", False),
        ("<" + "a" * 50, "&lt;" + "a" * 39, True),
        ("x<" + "a" * 50, "x", True),
        ("", NO_FEEDBACK, False),
    ],
)
def test_feedback_over_the_limit_is_cut_and_marked(msg, made, is_shortened):
    """C93: the feedback is cut between characters and tags, and stays well-formed."""
    text = json.dumps({"correct": True, "score": 1, "msg": msg})
    reply = parse_reply(text, max_feedback_bytes=40)
    assert reply.msg == made
    codes = [each.code for each in reply.warnings]
    assert ("feedback_shortened" in codes) is is_shortened
    assert (reply.correct, reply.score) == (True, 1)
    assert "feedback_shortened" not in [each.code for each in parse_reply(text).warnings]
