"""The codes of everything that a grader can be told about its result. Pure.

``docs/references/reply_codes.rst`` is written from this module by ``docs/reply_codes_page.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


def gettext_noop(text: str) -> str:
    """Mark a text for the catalogues; the pages for staff translate it."""
    return text


class Code(StrEnum):
    """The code of a refusal or of a warning; ``MEANINGS`` describes each."""

    # A request that is refused before its result is read.
    BODY_TOO_LARGE = "body_too_large"
    BODY_INCOMPLETE = "body_incomplete"
    BODY_UNREADABLE = "body_unreadable"
    MEDIA_TYPE_UNKNOWN = "media_type_unknown"
    TOO_MANY_FIELDS = "too_many_fields"
    NESTED_TOO_DEEP = "nested_too_deep"
    # A result that is refused.
    FIELD_INVALID = "field_invalid"
    FIELD_MISSING = "field_missing"
    NOT_TEXT = "not_text"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    CORRECT_INVALID = "correct_invalid"
    SCORE_NOT_A_NUMBER = "score_not_a_number"
    SCORE_NOT_FINITE = "score_not_finite"
    MSG_INVALID = "msg_invalid"
    SUBMISSION_UNKNOWN = "submission_unknown"
    KEY_UNKNOWN = "key_unknown"
    LEASE_ENDED = "lease_ended"
    ALREADY_ANSWERED = "already_answered"
    SUBMISSION_FAILED = "submission_failed"
    # A result that is accepted, with a warning.
    DUPLICATE = "duplicate"
    CORRECT_CONVERTED = "correct_converted"
    SCORE_CONVERTED = "score_converted"
    MSG_CONVERTED = "msg_converted"
    SCORE_BELOW_ZERO = "score_below_zero"
    SCORE_ABOVE_MAXIMUM = "score_above_maximum"
    CORRECT_WITHOUT_POINTS = "correct_without_points"
    INCORRECT_WITH_ALL_POINTS = "incorrect_with_all_points"
    MEMBER_UNKNOWN = "member_unknown"
    FEEDBACK_SHORTENED = "feedback_shortened"
    CHARACTERS_REMOVED = "characters_removed"
    MARKUP_REMOVED = "markup_removed"
    MARKUP_SHOWN_AS_TEXT = "markup_shown_as_text"
    ATTRIBUTES_REMOVED = "attributes_removed"
    STYLES_REMOVED = "styles_removed"
    MATH_REMOVED = "math_removed"
    LINKS_REMOVED = "links_removed"
    IMAGES_REMOVED = "images_removed"
    TESTS_IGNORED = "tests_ignored"
    TESTS_SHORTENED = "tests_shortened"
    STAFF_NOTE_IGNORED = "staff_note_ignored"
    STAFF_NOTE_SHORTENED = "staff_note_shortened"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code says (``text``), and what the grader's author can change (``advice``)."""

    field: str
    text: str
    advice: str
    is_refusal: bool = False


def _refusal(field: str, text: str, advice: str) -> Meaning:
    return Meaning(field, text, advice, is_refusal=True)


_ANY = "any"
_SITE_LIMIT = "Send less. X-XQueue-Problem has the limit."
_KEEP_HEADER = "Send xqueue_header back unchanged."

MEANINGS: Mapping[Code, Meaning] = {
    Code.BODY_TOO_LARGE: _refusal(
        "body", gettext_noop("The request is larger than the site accepts."), _SITE_LIMIT
    ),
    Code.BODY_INCOMPLETE: _refusal(
        "body",
        gettext_noop("The request ended before its body was complete."),
        "Send it again; allow more time for the connection.",
    ),
    Code.BODY_UNREADABLE: _refusal(
        "body",
        gettext_noop("The body is not what its Content-Type and Content-Encoding say."),
        "Send a form (application/x-www-form-urlencoded) or a JSON object.",
    ),
    Code.MEDIA_TYPE_UNKNOWN: _refusal(
        "Content-Type",
        gettext_noop("The body is neither a form nor JSON."),
        "Set Content-Type to application/x-www-form-urlencoded or application/json.",
    ),
    Code.TOO_MANY_FIELDS: _refusal(
        "body",
        gettext_noop("The form has more fields than the site accepts."),
        "Send xqueue_header and xqueue_body only.",
    ),
    Code.NESTED_TOO_DEEP: _refusal(
        "body", gettext_noop("The JSON is nested too deep."), "Send the members of the contract."
    ),
    Code.FIELD_INVALID: _refusal(
        _ANY, gettext_noop("A field is malformed."), "The header X-XQueue-Problem names the field."
    ),
    Code.FIELD_MISSING: _refusal(
        _ANY,
        gettext_noop("A required field or member is missing."),
        "Send xqueue_header and xqueue_body, and in the latter correct and score.",
    ),
    Code.NOT_TEXT: _refusal(
        "xqueue_header, xqueue_body",
        gettext_noop("The field is not text."),
        "Serialise it: both fields are strings that contain JSON.",
    ),
    Code.NOT_JSON: _refusal(
        "xqueue_header, xqueue_body",
        gettext_noop("The field is not JSON."),
        "Write it with a JSON library; quotes are double quotes.",
    ),
    Code.NOT_AN_OBJECT: _refusal(
        "xqueue_header, xqueue_body",
        gettext_noop("The field is JSON, but not an object."),
        'Send an object: {"correct": true, "score": 1, "msg": ""}.',
    ),
    Code.CORRECT_INVALID: _refusal(
        "correct", gettext_noop("The value is neither true nor false."), "Send true or false."
    ),
    Code.SCORE_NOT_A_NUMBER: _refusal(
        "score", gettext_noop("The score is not a number."), "Send a JSON number, not text."
    ),
    Code.SCORE_NOT_FINITE: _refusal(
        "score",
        gettext_noop("The score is NaN, infinite or too large."),
        "Look for a division by zero in the grader.",
    ),
    Code.MSG_INVALID: _refusal(
        "msg", gettext_noop("The feedback is a list or an object."), "Send HTML as one text."
    ),
    Code.SUBMISSION_UNKNOWN: _refusal(
        "xqueue_header.submission_id",
        gettext_noop("There is no such submission in a queue of this grader."),
        _KEEP_HEADER,
    ),
    Code.KEY_UNKNOWN: _refusal(
        "xqueue_header.submission_key",
        gettext_noop("The key is not that of the latest pull."),
        f"{_KEEP_HEADER} If the grading took longer than LEASE_SECONDS, another grader has it now.",
    ),
    Code.LEASE_ENDED: _refusal(
        "xqueue_header.submission_key",
        gettext_noop("The lease has ended: an invalid result came before, or the lease's time."),
        "Pull the submission again, and send the result within LEASE_SECONDS.",
    ),
    Code.ALREADY_ANSWERED: _refusal(
        "xqueue_header",
        gettext_noop("Another result was accepted before."),
        "Send one result for each submission; the first one counts.",
    ),
    Code.SUBMISSION_FAILED: _refusal(
        "xqueue_header",
        gettext_noop("The submission had failed before, and the learner was told."),
        "Ask the operator to requeue it. Grade faster, or ask for a longer lease.",
    ),
    Code.DUPLICATE: Meaning(
        "xqueue_body", gettext_noop("The same result was accepted before; it counts once."), "None."
    ),
    Code.CORRECT_CONVERTED: Meaning(
        "correct",
        gettext_noop("The value was read as true or false."),
        "Send true or false instead of a text, a number or null.",
    ),
    Code.SCORE_CONVERTED: Meaning(
        "score", gettext_noop("True or false was read as 1 or 0."), "Send a number."
    ),
    Code.MSG_CONVERTED: Meaning(
        "msg", gettext_noop("A number, true or false was shown as text."), "Send a text."
    ),
    Code.SCORE_BELOW_ZERO: Meaning(
        "score", gettext_noop("The score is below 0, so 0 counts."), "Send 0 or more."
    ),
    Code.SCORE_ABOVE_MAXIMUM: Meaning(
        "score",
        gettext_noop("The score is above the answer's points, so these count."),
        'Send points of the problem, or parts of 1 with SCORE_SCALE "fraction" (--fraction).',
    ),
    Code.CORRECT_WITHOUT_POINTS: Meaning(
        "correct",
        gettext_noop('The learner reads "correct" beside 0 points.'),
        "Send false with 0 points, or points with true.",
    ),
    Code.INCORRECT_WITH_ALL_POINTS: Meaning(
        "correct",
        gettext_noop("The answer has all points, so it is shown as correct."),
        "Send true with all points.",
    ),
    Code.MEMBER_UNKNOWN: Meaning(
        "xqueue_body",
        gettext_noop("A member that the contract does not have is ignored."),
        "Look for a misspelt name.",
    ),
    Code.FEEDBACK_SHORTENED: Meaning(
        "msg",
        gettext_noop("The feedback is too long; the learner sees its beginning."),
        "Send less; the limit is the site's MAX_REPLY_BYTES.",
    ),
    Code.CHARACTERS_REMOVED: Meaning(
        "msg",
        gettext_noop("Control characters were removed."),
        "Remove control characters from what programs print.",
    ),
    Code.MARKUP_REMOVED: Meaning(
        "msg",
        gettext_noop("Elements that are not allowed were removed."),
        "Use text, headings, lists, tables, pre, code, details, links and images.",
    ),
    Code.MARKUP_SHOWN_AS_TEXT: Meaning(
        "msg",
        gettext_noop("The markup is nested too deep or too complex, so it is shown as text."),
        "Send fewer nested elements, and close each.",
    ),
    Code.ATTRIBUTES_REMOVED: Meaning(
        "msg", gettext_noop("Attributes that are not allowed were removed."), "Use class."
    ),
    Code.STYLES_REMOVED: Meaning(
        "msg",
        gettext_noop("Styles were removed."),
        "Use class, or elements such as strong and pre.",
    ),
    Code.MATH_REMOVED: Meaning(
        "msg",
        gettext_noop("MathML was removed; its text is kept."),
        r"Send formulas as text, such as \(x^2\).",
    ),
    Code.LINKS_REMOVED: Meaning(
        "msg",
        gettext_noop("Links without http, https or mailto were removed; their text is kept."),
        "Send complete URLs.",
    ),
    Code.IMAGES_REMOVED: Meaning(
        "msg",
        gettext_noop("Images that are not loaded over https were removed."),
        "Send complete URLs that begin with https://.",
    ),
    Code.TESTS_IGNORED: Meaning(
        "tests",
        gettext_noop("The tests do not have the form of the schema and are ignored."),
        "Send the member that the data names as result-1.json describes it.",
    ),
    Code.TESTS_SHORTENED: Meaning(
        "tests",
        gettext_noop("The tests are too many or too long; the rest is left out."),
        "Send fewer tests and shorter messages.",
    ),
    Code.STAFF_NOTE_IGNORED: Meaning(
        "staff_note", gettext_noop("The note is not text and is ignored."), "Send a text."
    ),
    Code.STAFF_NOTE_SHORTENED: Meaning(
        "staff_note", gettext_noop("The note is too long; its beginning is kept."), "Send less."
    ),
}
