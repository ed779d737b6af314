"""Parse one OLX file into elements that know their file and line; pure.

Only tags and attributes are kept: a grade does not depend on texts, nor on namespaces. A document
type with declarations is refused, which excludes every kind of entity; the file that a document
type names is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from xqueue_bridge.course_structure.validation import json_from
from xqueue_bridge.exceptions import InvalidCourse

MAX_DEPTH = 200
MAX_ELEMENTS = 100_000


@dataclass
class Element:
    """One element, with the file and line where it begins."""

    tag: str
    attributes: dict[str, str]
    file: str
    line: int
    children: list[Element] = field(default_factory=list)

    @property
    def url_name(self) -> str | None:
        return self.attributes.get("url_name")

    @property
    def is_pointer(self) -> bool:
        """Whether it only points to its own file."""
        named = "url_name" in self.attributes and not self.children
        return named and (self.tag == "course" or len(self.attributes) == 1)

    def descendants(self) -> Iterator[Element]:
        """Yield every descendant of this element, in the order of the file."""
        waiting = self.children[::-1]  # nested generators would pass each element up every level
        while waiting:
            element = waiting.pop()
            yield element
            waiting += element.children[::-1]

    def location(self, attribute: str | None = None) -> str:
        """Return file, line and element as text, for messages."""
        named = f" {self.url_name!r}" if self.url_name else ""
        of = f", attribute {attribute!r}" if attribute else ""
        return f"{self.file}, line {self.line}, {self.tag}{named}{of}"

    def error(self, reason: str, attribute: str | None = None) -> InvalidCourse:
        """Return an error that names file, line and element."""
        return InvalidCourse(self.location(attribute), reason)


def parse_xml(content: bytes, file: str) -> Element:
    """Return the root element. Raises InvalidCourse."""
    builder = _Builder(file)
    try:
        builder.parser.Parse(content, True)
    except expat.ExpatError as exc:
        where = f"{file}, line {exc.lineno}"
        raise InvalidCourse(where, f"is not XML: {expat.ErrorString(exc.code)}") from None
    except (LookupError, ValueError) as exc:
        if isinstance(exc, InvalidCourse):
            raise
        raise InvalidCourse(file, "has an unknown encoding") from None
    return builder.root


def unquoted(value: str) -> str:
    """Return an attribute's text; Studio writes some as JSON: with quotation marks, or null."""
    if value == "null":
        return ""
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json_from(value, "attribute"))
        except InvalidCourse:
            return value
    return value


def flag_from(text: str) -> bool | None:
    """Return whether a text is "true" or a number that is not 0; None for an empty or null one.

    Raises ValueError for other texts than "true" and "false", which the platform reads as false.
    """
    text = unquoted(text).strip().lower()
    if text in ("", "none"):
        return None
    if text in ("true", "false"):
        return text == "true"
    return float(text) != 0


def is_true(text: str) -> bool:
    """Return whether the platform reads a text as true."""
    try:
        return flag_from(text) is True
    except ValueError:
        return False


class _Builder:
    """Build the tree from expat's events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Element
        self.open: list[Element] = []
        self.count = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.StartDoctypeDeclHandler = self.refuse_declarations

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        kept = {name: value for name, value in attributes.items() if name[:5] != "xmlns"}
        element = Element(tag, kept, self.file, self.parser.CurrentLineNumber)
        self.count += 1
        if len(self.open) >= MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise element.error("stands too deep, or after too many others")
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, tag: str) -> None:
        self.open.pop()

    def refuse_declarations(
        self, name: str, system_id: str | None, public_id: str | None, has_declarations: bool
    ) -> None:
        if has_declarations:
            where = f"{self.file}, line {self.parser.CurrentLineNumber}"
            raise InvalidCourse(where, "must not have a document type with declarations")
