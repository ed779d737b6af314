"""Arguments of commands: learners, blocks, courses, times and numbers."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.lms.callback_url import parse_block_key
from xqueue_bridge.lms.users import user_ids_of
from xqueue_bridge.management.progress import Writer
from xqueue_bridge.protocol.fields import is_valid_text

#: Part of a block key -> name of the commands' argument.
_ARGUMENT_NAMES = {"course_id": "--course", "mod_id": "block"}


def add_learners(parser: CommandParser) -> None:
    """Add arguments that name learners by username or by id."""
    parser.add_argument("learner", nargs="*", help="A learner's username.")
    parser.add_argument(
        "--user-id",
        action="append",
        type=whole_number,
        default=[],
        help="A learner's user id, for renamed or deleted accounts; may be repeated.",
    )


def find_learners(usernames: Sequence[str], user_ids: Sequence[int]) -> list[int]:
    """Return the ids of the named learners, each once. Raises CommandError."""
    found = user_ids_of([username for username in usernames if is_valid_text(username)])
    unknown = [username for username in usernames if username not in found]
    if unknown:
        raise CommandError(
            f"Unknown user {unknown[0]!r}. Use --user-id for renamed or deleted accounts."
        )
    return list(dict.fromkeys([*(found[username] for username in usernames), *user_ids]))


def add_block_arguments(parser: CommandParser) -> None:
    """Add arguments that name a block in a course or library."""
    parser.add_argument("block", help="The block's usage key.")
    parser.add_argument(
        "--course", help="The block's course key; required for deprecated keys (i4x://...)."
    )


def find_block(course: str | None, block: str) -> tuple[LearningContextKey, UsageKey]:
    """Return the named context key and usage key. Raises CommandError, which names the argument."""
    try:
        return parse_block_key(course, block)
    except InvalidField as exc:
        raise CommandError(f"{_ARGUMENT_NAMES[exc.field]}: {exc.reason}") from None


def parse_time(text: str) -> datetime:
    """Return a day or time in ISO 8601, in UTC if it has no zone; for argparse."""
    try:
        moment = parse_datetime(text)
        if moment is None and (day := parse_date(text)):
            moment = datetime.combine(day, time.min)
        if moment is not None:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise ArgumentTypeError(f"{text!r} is neither a day nor a time, such as 2026-11-20T08:00Z")


def whole_number(text: str) -> int:
    """Return a whole number that a database can store as an id, or 0; for argparse."""
    if not text.isdecimal() or len(text) > 18:
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number above 0; for argparse."""
    if not whole_number(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive_number(text: str) -> float:
    """Return a number above 0 and at most a million; for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number <= 1e6:
        raise ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1000000")
    return number


def days_ago(text: str) -> datetime:
    """Return the time that is a number of whole days ago; for argparse."""
    try:
        return timezone.now() - timedelta(days=positive(text))
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} days ago is no date") from None


def course_key(text: str) -> CourseKey:
    """Return a course key; for argparse."""
    try:
        return CourseKey.from_string(text)
    except InvalidKeyError:
        raise ArgumentTypeError(f"{text!r} is not a course key") from None


def usage_key(text: str) -> UsageKey:
    """Return a usage key; for argparse."""
    try:
        return UsageKey.from_string(text)
    except InvalidKeyError:
        raise ArgumentTypeError(f"{text!r} is not a usage key") from None


def write_facts(out: Writer, facts: Mapping[str, object], as_json: bool) -> None:
    """Write what a command has done in one line: as a JSON object, or as name=value."""
    if as_json:
        out.write(json.dumps(dict(facts)))
    else:
        pairs = (f"{name}={value}" for name, value in facts.items() if value not in (None, ""))
        out.write("  ".join(pairs))
