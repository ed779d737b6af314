"""Warnings: each silent change of a result is told, stored beside the reply, and counted."""

from __future__ import annotations

import json

import pytest

from tests.grader_replies import factories
from xqueue_bridge.data import ApplyResult
from xqueue_bridge.grader_replies import retry
from xqueue_bridge.grader_replies.apply import apply_reply
from xqueue_bridge.grader_replies.code_counts import count_codes
from xqueue_bridge.grader_replies.models import ReceivedReply, ReplyCodeCount
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.protocol.codes import MEANINGS, Code
from xqueue_bridge.protocol.reply_warnings import ReplyWarning, read_warnings, warnings_header
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.grader_models import Grader

GOOD = {"correct": True, "score": 1, "msg": "<p>ok</p>"}


def warnings_of(**members: object) -> dict[str, object]:
    """Return code -> data of the warnings of a reply."""
    reply = parse_reply(json.dumps({**GOOD, **members}), max_feedback_bytes=2000)
    return {str(each.code): dict(each.data) for each in reply.warnings}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"score": 0.5, "correct": False},
        {"msg": "plain text, a < b, list<int>"},
        {"msg": None},
        {"msg": "<p>a\r\nb</p>"},
        {"msg": "<P CLASS=x>a<br>b"},
        {"msg": '<a href="https://example.com">x</a><img src="https://example.com/a" alt="a">'},
        {"tests": None, "staff_note": None, "max_score": 2},
        {"tests": [{"name": "a", "score": 1, "max_score": 1}], "staff_note": "seed 7"},
    ],
)
def test_result_that_is_kept_as_it_is_has_no_warning(members):
    """C92: an ordinary result is accepted without a remark."""
    assert warnings_of(**members) == {}


@pytest.mark.parametrize(
    ("members", "code", "data"),
    [
        ({"correct": "True"}, "correct_converted", {"read_as": True}),
        ({"correct": None, "score": 0}, "correct_converted", {"read_as": False}),
        ({"score": True}, "score_converted", {"read_as": 1}),
        ({"msg": 3}, "msg_converted", {}),
        ({"score": -5, "correct": False}, "score_below_zero", {"score": -5}),
        ({"score": 0}, "correct_without_points", {}),
        ({"massage": "x"}, "member_unknown", {"count": 1, "names": ["massage"]}),
        ({"an answer": "x"}, "member_unknown", {"count": 1, "names": []}),
        ({"x" * 40: 1, "y" * 41: 1}, "member_unknown", {"count": 2, "names": ["x" * 40]}),
        (
            {f"m{n}": n for n in range(10, 21)},
            "member_unknown",
            {"count": 11, "names": [f"m{n}" for n in range(10, 20)]},
        ),
        ({"msg": "a" * 2500}, "feedback_shortened", {"characters": 2500, "kept": 2000}),
        ({"msg": "a\x07b\ud800"}, "characters_removed", {"count": 2}),
        ({"msg": "<script>1</script>ok"}, "markup_removed", {"script": 1}),
        ({"msg": "<iframe></iframe><iframe></iframe>"}, "markup_removed", {"iframe": 2}),
        ({"msg": "<form><input></form>x"}, "markup_removed", {"form": 1, "input": 1}),
        ({"msg": "<i>" * 150 + "x"}, "markup_shown_as_text", {}),
        ({"msg": '<p onclick="x" id="a">b</p>'}, "attributes_removed", {"onclick": 1, "id": 1}),
        ({"msg": '<p style="color: red">x</p>'}, "styles_removed", {"style": 1}),
        ({"msg": "<style>p {}</style><p>x</p>"}, "styles_removed", {"style": 1}),
        ({"msg": "<math>x</math>"}, "math_removed", {"math": 1}),
        ({"msg": '<a href="/courses/x">x</a>'}, "links_removed", {"href": 1}),
        ({"msg": '<img src="http://example.com/a.png">'}, "images_removed", {"src": 1}),
        ({"staff_note": 3}, "staff_note_ignored", {}),
        (
            {"staff_note": "x" * 10_001},
            "staff_note_shortened",
            {"characters": 10_001, "kept": 10_000},
        ),
    ],
)
def test_each_silent_change_has_a_code(members, code, data):
    """C92, C93: the warning says what was changed, and has no text of the result."""
    assert warnings_of(**members) == {code: data}


def test_warnings_never_contain_text_of_the_result():
    secret = "hunter2"
    msg = f'<p {secret}="x" style="{secret}">{secret}</p><{secret}>'
    assert secret not in json.dumps(
        warnings_of(msg=msg, correct="true", **{f"{secret} ": 1, "x" * 41: 1})
    ).replace(f'"{secret}": 1', "")


@pytest.mark.parametrize("code", Code)
def test_each_code_has_a_sentence_and_an_advice(code):
    assert MEANINGS[code].text.endswith(".")
    assert MEANINGS[code].advice
    assert MEANINGS[code].field


def test_header_is_read_as_it_was_written():
    some = [
        ReplyWarning(Code.DUPLICATE, "xqueue_body"),
        ReplyWarning(Code.SCORE_BELOW_ZERO, "score", {"score": -1}),
    ]
    assert read_warnings(warnings_header(some)) == some
    assert warnings_header(some).isascii()


def test_header_is_bounded():
    long = [ReplyWarning(Code.TESTS_IGNORED, "tests", {"x": "y" * 5000})]
    assert [each.code for each in read_warnings(warnings_header(long))] == ["tests_ignored"]
    many = [ReplyWarning(Code.TESTS_IGNORED, "tests")] * 500
    assert len(warnings_header(many)) < 4000


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", "[1]", "null", '[{"code": "new"}]', "[{}]", "[" * 100_000]
)
def test_header_that_cannot_be_read_gives_no_warning(text):
    assert read_warnings(text) == []


@pytest.mark.django_db
class TestStored:
    @pytest.fixture
    def grader(self) -> Grader:
        submission_queue.create_grader("watcher", ["python"])
        return Grader.objects.get()

    def test_count_of_a_new_code_and_of_a_known_one(self, grader, django_assert_num_queries):
        count_codes(grader.pk, ["duplicate"])
        with django_assert_num_queries(1):
            count_codes(grader.pk, ["duplicate"])
        count_codes(grader.pk, ["duplicate", "not_json"])
        counts = dict(ReplyCodeCount.objects.values_list("code", "count"))
        assert counts == {"duplicate": 3, "not_json": 1}
        assert "of grader" in str(ReplyCodeCount.objects.first())

    @pytest.mark.parametrize(
        ("reply", "scale", "warnings"),
        [
            (
                {"correct": True, "score": 85},
                "points",
                {"score_above_maximum": {"score": 85, "maximum": 2}},
            ),
            (
                {"correct": True, "score": 2},
                "fraction",
                {"score_above_maximum": {"score": 2, "maximum": 1}},
            ),
            ({"correct": False, "score": 2}, "points", {"incorrect_with_all_points": {}}),
            ({"correct": True, "score": 1}, "fraction", {}),
            ({"correct": True, "score": 2}, "points", {}),
            ({"correct": False, "score": 0.5}, "points", {}),
        ],
    )
    def test_warning_that_needs_the_answers_points(
        self, grader, settings, reply, scale, warnings, django_capture_on_commit_callbacks
    ):
        """C95: the clamped score is stored with a warning once the points are known."""
        settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"SCORE_SCALE": scale}}}
        ada = factories.make_learner()
        factories.make_state(ada)
        submission = factories.make_submission(ada, points={"a_2_1": 2})
        submission.grader = grader
        submission.save()
        stored = factories.make_reply(submission, json.dumps(reply))
        with django_capture_on_commit_callbacks(execute=True):
            apply_reply(stored.pk)
        stored.refresh_from_db()
        assert {each["code"]: each["data"] for each in stored.codes} == warnings
        assert set(ReplyCodeCount.objects.values_list("code", flat=True)) == set(warnings)
        ReceivedReply.objects.update(status="pending", next_attempt_at=stored.received_at)
        factories.make_state(ada)
        with django_capture_on_commit_callbacks(execute=True):
            apply_reply(stored.pk)
        stored.refresh_from_db()
        assert len(stored.codes) == len(warnings), "applied again, not warned again"
        assert set(ReplyCodeCount.objects.values_list("count", flat=True)) <= {1}

    @pytest.mark.parametrize("score_given", [0, None])
    def test_answer_without_points_gets_no_warning(self, score_given):
        """C95: of 0 points no reply has all, and a reply without a score cannot exceed them."""
        submission = factories.make_submission(factories.make_learner(), points={"a_2_1": 0})
        reply = {"correct": False, "score_given": score_given}
        stored = factories.make_reply(submission, **reply)
        retry.mark_applied([(stored, ApplyResult(True, 0, 0))])
        stored.refresh_from_db()
        assert stored.codes == []

    def test_warning_is_stored_with_its_own_reply(self):
        """C95: replies of one batch keep their own warnings."""
        ada = factories.make_learner()
        first, second = (
            factories.make_reply(factories.make_submission(ada, key), score_given=score)
            for key, score in (("key-1", 1), ("key-2", 5))
        )
        retry.mark_applied([(each, ApplyResult(True, 1, 1)) for each in (first, second)])
        codes = dict(ReceivedReply.objects.values_list("pk", "codes"))
        assert codes[first.pk] == []
        assert [each["code"] for each in codes[second.pk]] == ["score_above_maximum"]
