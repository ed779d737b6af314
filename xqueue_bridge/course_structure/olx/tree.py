"""Combine the files of an exported course into one tree of elements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from opaque_keys.edx.locator import BlockUsageLocator

from xqueue_bridge.course_structure.olx.files import OlxFiles
from xqueue_bridge.course_structure.olx.max_scores import UNSCORED
from xqueue_bridge.course_structure.olx.xml import Element, is_true, parse_xml
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

#: Attributes of which the first is an element's name.
NAMES = ("url_name", "slug", "name", "display_name")
FILE_NAME = re.compile(r"[\w~.:-]+")
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
        self.run = _file_name(self.pointer, "url_name")
        # The second one is of courses from 2012.
        files_of_policy = f"policies/{self.run}/policy.json", f"policies/{self.run}.json"
        self.policy = self._policy(files_of_policy[0]) or self._policy(files_of_policy[1])
        self.visits = 0
        self._names: dict[tuple[str, str], Element] = {}
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
            if not is_true(element.attributes.get("visible_to_staff_only", "")):
                yield element

    def json(self, name: str) -> object:
        """Return the parsed content of a JSON file; None if there is none. Raises InvalidCourse."""
        content = self.files.read(name)
        return None if content is None else json_from(content, name)

    def _policy(self, file: str) -> Mapping[str, object]:
        """Return the settings in a file; report one that cannot be read, as the platform does."""
        try:
            policy = self.json(file)
        except InvalidCourse as exc:
            self.report(exc)
            return {}
        if isinstance(policy, Mapping):
            return policy
        if policy is not None:
            self.report(InvalidCourse(file, "must be an object"))
        return {}

    def _resolved(self, element: Element) -> Element:
        element = self._named(element)
        if element.is_pointer:
            pointer, element = element, self._definition(element, "url_name")
            element = replace(element, attributes={**element.attributes, **pointer.attributes})
        elif "filename" in element.attributes:  # in courses from 2012
            found = self._definition(element, "filename")
            element = replace(found, attributes=element.attributes)
        attributes = self.policy.get(f"{element.tag}/{element.url_name}")
        if not isinstance(attributes, Mapping):
            return element
        added = {name: _as_attribute(value) for name, value in attributes.items()}
        return replace(element, attributes={**element.attributes, **added})

    def _named(self, element: Element) -> Element:
        """Return the element with the url_name that the platform gives it.

        It has none if its name is that of another element: the platform's would be a digest then.
        """
        given = element.attributes
        source = next((name for name in NAMES if name in given), "url_name")
        if source == "url_name":
            return element
        url_name = given[source] if source == "slug" else BlockUsageLocator.clean(given[source])
        if self._names.setdefault((element.tag, url_name), element) is not element:
            return element
        kept = {name: value for name, value in given.items() if name != "slug"}
        return replace(element, attributes={**kept, "url_name": url_name})

    def _definition(self, pointer: Element, attribute: str) -> Element:
        file = f"{pointer.tag}/{_file_name(pointer, attribute)}.xml"
        if file not in self._cache:
            self._cache[file] = self._parsed(file)
        definition = self._cache[file]
        if definition is None:
            if pointer.tag in CONTAINERS or pointer.tag in ("course", "chapter", "problem"):
                raise pointer.error(f"points to {file}, which is missing")
            return pointer  # some blocks have no data except their name
        if definition.tag != pointer.tag:
            raise definition.error(f"must be a {pointer.tag}")
        return definition

    def _parsed(self, file: str) -> Element | None:
        content = self.files.read(file)
        return None if content is None else parse_xml(content, file)


def _file_name(element: Element, attribute: str) -> str:
    name = element.attributes.get(attribute, "").replace("/", ":")
    parts = name.split(":")
    if not FILE_NAME.fullmatch(name) or any(part.strip(".") == "" for part in parts):
        raise element.error("must be letters, digits and any of _ - . ~ :", attribute)
    return name.replace(":", "/")


def _as_attribute(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
