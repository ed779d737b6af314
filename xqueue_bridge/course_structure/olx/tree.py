"""Combine the files of an exported course into one tree of elements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from xqueue_bridge.course_structure.olx.files import OlxFiles
from xqueue_bridge.course_structure.olx.max_scores import UNSCORED
from xqueue_bridge.course_structure.olx.xml import Element, parse_xml
from xqueue_bridge.course_structure.validation import json_from
from xqueue_bridge.exceptions import CourseTooLarge, InvalidCourse

#: Called with each error that concerns one element only; the rest of the course is read.
Report: TypeAlias = Callable[[InvalidCourse], object]

#: Containers whose blocks are in the course for all learners or for some.
CONTAINERS = frozenset(
    {
        "conditional",
        "itembank",
        "library_content",
        "problemset",
        "randomize",
        "sequential",
        "split_test",
        "unit",
        "vertical",
        "videosequence",
        "wrapper",
    }
)

URL_NAME = re.compile(r"[\w~.:-]+")
#: Maximum elements that are read: files may reference each other in cycles.
MAX_VISITS = 200_000


class OlxTree:
    """Follow elements that only point to a file, and merge their settings in ``policy.json``."""

    def __init__(self, files: OlxFiles, report: Report) -> None:
        self.files = files
        self.report = report
        pointer = self._parsed("course.xml")
        if pointer is None or pointer.tag != "course":
            raise InvalidCourse("course.xml", "must hold a course element")
        self.pointer = pointer
        self.run = _url_name(self.pointer)
        file = f"policies/{self.run}/policy.json"
        policy = self.json(file) or {}
        if not isinstance(policy, Mapping):
            raise InvalidCourse(file, "must be an object")
        self.policy: Mapping[str, object] = policy
        self.visits = 0
        self._cache: dict[str, Element | None] = {}

    @property
    def root(self) -> Element:
        """The course element."""
        return self._resolved(self.pointer)

    def children(self, parent: Element) -> Iterator[Element]:
        """Yield the children that affect learners' grades or may contain such elements.

        A child whose file is missing or invalid is reported, and not yielded.
        """
        for child in parent.children:
            self.visits += 1
            if self.visits > MAX_VISITS:
                error = child.error("is one too many: do files point at each other?")
                raise CourseTooLarge(error.field, error.reason)
            if child.tag in UNSCORED:
                continue
            try:
                element = self._resolved(child)
            except CourseTooLarge:
                raise
            except InvalidCourse as exc:
                self.report(exc)
                continue
            if element.attributes.get("visible_to_staff_only", "").lower() != "true":
                yield element

    def json(self, name: str) -> object:
        """Return the parsed content of a JSON file; None if there is none. Raises InvalidCourse."""
        content = self.files.read(name)
        return None if content is None else json_from(content, name)

    def _resolved(self, element: Element) -> Element:
        if element.is_pointer:
            element = self._definition(element)
        attributes = self.policy.get(f"{element.tag}/{element.url_name}")
        if not isinstance(attributes, Mapping):
            return element
        added = {
            name: _as_attribute(value) for name, value in attributes.items() if value is not None
        }
        return replace(element, attributes={**element.attributes, **added})

    def _definition(self, pointer: Element) -> Element:
        url_name = _url_name(pointer)
        file = f"{pointer.tag}/{url_name.replace(':', '/')}.xml"
        if file not in self._cache:
            self._cache[file] = self._parsed(file)
        definition = self._cache[file]
        if definition is None:
            if pointer.tag in CONTAINERS or pointer.tag in ("course", "chapter", "problem"):
                raise pointer.error(f"points to {file}, which is missing")
            return pointer  # some blocks have no data except their name
        if definition.tag != pointer.tag:
            raise definition.error(f"must be a {pointer.tag}")
        return replace(definition, attributes={**definition.attributes, **pointer.attributes})

    def _parsed(self, file: str) -> Element | None:
        content = self.files.read(file)
        return None if content is None else parse_xml(content, file)


def _url_name(element: Element) -> str:
    url_name = element.url_name or ""
    parts = url_name.split(":")
    if not URL_NAME.fullmatch(url_name) or any(part.strip(".") == "" for part in parts):
        raise element.error("must be letters, digits and any of _ - . ~ :", "url_name")
    return url_name


def _as_attribute(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
