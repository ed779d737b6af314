"""Read values from a JSON document, with error messages that name the element; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from xqueue_bridge.exceptions import InvalidCourse
from xqueue_bridge.lms.keys import with_run
from xqueue_bridge.protocol.fields import read_json

MAX_TEXT = 255  # the length of a database column for a key or a name
MAX_NUMBER = 1_000_000
#: A day from the ends of the calendar, so that pages can show each time in any time zone.
EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """One object of a document, with its ``path``. Every method raises InvalidCourse.

    Absent and null members are both None.
    """

    path: str
    value: Mapping[str, object]

    def __post_init__(self) -> None:
        if not isinstance(self.value, Mapping):
            raise InvalidCourse(self.path or "document", "must be an object")

    def at(self, name: str) -> str:
        """Return the path to a member."""
        return f"{self.path}.{name}".removeprefix(".")

    def only(self, *known: str) -> None:
        """Refuse unknown members, so that a misspelt one is not ignored."""
        for name in sorted(self.value.keys() - set(known)):
            raise InvalidCourse(self.at(name), f"is not one of {', '.join(known)}")

    def need(self, name: str) -> object:
        """Return a required member."""
        if self.value.get(name) is None:
            raise InvalidCourse(self.at(name), "is missing")
        return self.value[name]

    def nodes(self, name: str) -> Iterator[Node]:
        """Yield the objects of a list."""
        for number, value in enumerate(self._of(name, list, "a list") or ()):
            yield Node(f"{self.at(name)}[{number}]", value)

    def counts(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield the members of an object whose values are counts."""
        for key, value in (self._of(name, dict, "an object") or {}).items():
            number = number_from(value, f"{self.at(name)}[{key!r}]")
            if number != int(number):
                raise InvalidCourse(f"{self.at(name)}[{key!r}]", "must be a whole number")
            yield key, int(number)

    def text(self, name: str) -> str | None:
        """Return a member of at most 255 characters."""
        text = self._of(name, str, "text")
        if text is not None and len(text) > MAX_TEXT:
            raise InvalidCourse(self.at(name), f"is longer than {MAX_TEXT} characters")
        return text

    def flag(self, name: str) -> bool | None:
        """Return a member that is true or false."""
        return self._of(name, bool, "true, false or null")

    def number(self, name: str) -> float | None:
        """Return a member that is a number of points, or null."""
        value = self.value.get(name)
        return None if value is None else number_from(value, self.at(name))

    def time(self, name: str) -> datetime | None:
        """Return a member that is a date and time."""
        text = self.text(name)
        return None if text is None else time_from(text, self.at(name))

    def _of(self, name: str, kind: type[T], expected: str) -> T | None:
        value = self.value.get(name)
        if value is not None and not isinstance(value, kind):
            raise InvalidCourse(self.at(name), f"must be {expected}")
        return value


def json_from(content: str | bytes, where: str) -> object:
    """Return the parsed JSON text. Raises InvalidCourse."""
    try:
        found = read_json(content)
        json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise InvalidCourse(f"{where}, line {exc.lineno}", f"is not JSON: {exc.msg}") from None
    except UnicodeEncodeError:  # an unpaired surrogate, which JSON can escape and no page can show
        raise InvalidCourse(where, "holds half of a character") from None
    except (ValueError, RecursionError):
        raise InvalidCourse(where, "is not UTF-8, too deep, or has too long a number") from None
    return found


def number_from(value: object, where: str, limit: float = MAX_NUMBER) -> float:
    """Return a finite number from 0 to ``limit``. Raises InvalidCourse."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise InvalidCourse(where, f"must be a number from 0 to {limit:,.12g}")
    return float(value)


def time_from(text: str, where: str) -> datetime:
    """Return the time in UTC, from EARLIEST to LATEST; a time without zone is UTC.

    Raises InvalidCourse.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        time = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidCourse(where, "must be a time such as 2026-12-31T23:59:00Z") from None
    return min(max(time, EARLIEST), LATEST)


def course_key_from(value: object, where: str) -> CourseKey:
    """Return the course key. Raises InvalidCourse."""
    key = _key(CourseKey.from_string, "CourseKey", value, where)
    if not isinstance(key, CourseLocator):
        raise InvalidCourse(where, "must be the key of a course")
    return key


def usage_key_from(value: object, where: str, course_key: CourseKey) -> UsageKey:
    """Return a key in this course, or of a library. Raises InvalidCourse.

    Deprecated keys have no run; they get this course's.
    """
    key = _key(UsageKey.from_string, "UsageKey", value, where)
    if not isinstance(key.context_key, CourseLocator):
        return key
    key = with_run(key, course_key)
    if key.course_key != course_key:
        raise InvalidCourse(where, "belongs to another course")
    return key


def _key(parse: Callable[[str], T], name: str, value: object, where: str) -> T:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidCourse(where, f"must be a key, as text of at most {MAX_TEXT} characters")
    try:
        return parse(value)
    except InvalidKeyError:
        raise InvalidCourse(where, f"is not a {name}") from None
