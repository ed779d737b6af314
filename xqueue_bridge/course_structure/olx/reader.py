"""Read a course structure from a course that Studio exported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from xqueue_bridge.course_structure.course import (
    Block,
    Chapter,
    Course,
    ShowCorrectness,
    Subsection,
)
from xqueue_bridge.course_structure.json_format import content_version, show_correctness_from
from xqueue_bridge.course_structure.olx.author_values import date_from
from xqueue_bridge.course_structure.olx.files import open_olx
from xqueue_bridge.course_structure.olx.max_scores import may_be_scored, number_of, points_of
from xqueue_bridge.course_structure.olx.tree import CONTAINERS, OlxTree, Report
from xqueue_bridge.course_structure.olx.xml import Element, flag_from, unquoted
from xqueue_bridge.course_structure.policy import DEFAULT_POLICY, GradingPolicy, parse_policy
from xqueue_bridge.course_structure.validation import MAX_NUMBER, MAX_TEXT
from xqueue_bridge.exceptions import CourseTooLarge, InvalidCourse

#: Attributes that all descendants inherit until one of them overrides the value.
INHERITED = ("graded", "format", "due", "show_correctness")
MAX_DEPTH = 20  # levels of containers in a subsection

Inherited = Mapping[str, str]

T = TypeVar("T")

log = logging.getLogger(__name__)


def read_olx(
    path: Path, course_key: CourseKey | None = None, report: Report | None = None
) -> Course:
    """Return the course in a folder or tar.gz; its version is the hash of its content.

    ``course_key`` replaces the key that the course's own org, course and run make. ``report`` is
    called with each error that concerns one element: an attribute that cannot be read has no value,
    an element without a usable key or file is left out. Without it, they are logged. Raises
    InvalidCourse, which names file and element, if the course itself or its policy is invalid.
    """
    tree = OlxTree(open_olx(path), report or _log_error)
    course = _Reader(tree, course_key or _course_key(tree.pointer, tree.run)).course()
    return replace(course, version=content_version(course))


@dataclass
class _Collected:
    """The blocks and pools of a subsection that were found so far."""

    blocks: dict[UsageKey, Block] = field(default_factory=dict)
    selection_counts: dict[UsageKey, int] = field(default_factory=dict)


class _Reader:
    """Traverse the course tree down to its problems."""

    def __init__(self, tree: OlxTree, course_key: CourseKey) -> None:
        self.tree = tree
        self.course_key = course_key
        self.subsections: dict[UsageKey, Subsection] = {}

    def course(self) -> Course:
        root = self.tree.root
        return Course(
            course_key=self.course_key,
            version="",
            edited_on=None,
            end=self._read(partial(_time, root, root.attributes, "end"), None),
            policy=self._policy(),
            chapters=tuple(self._chapters(root)),
            display_name=_name(root),
        )

    def _policy(self) -> GradingPolicy:
        """Return the course's own policy, with the platform's for what is missing in it."""
        for file in f"policies/{self.tree.run}/grading_policy.json", "grading_policy.json":
            document = self.tree.json(file)
            if document is not None:
                break
        else:
            document = {}
        if isinstance(document, Mapping):
            for name in DEFAULT_POLICY.keys() - document.keys():
                reason = "is missing: the platform's default counts"
                self.tree.report(InvalidCourse(f"{file}.{name}", reason))
            document = {**DEFAULT_POLICY, **document}
        return parse_policy(document, file)

    def _read(self, read: Callable[[], T], otherwise: T) -> T:
        """Return what ``read`` returns; report its error, and return ``otherwise``."""
        try:
            return read()
        except CourseTooLarge:
            raise
        except InvalidCourse as exc:
            self.tree.report(exc)
            return otherwise

    def _chapters(self, root: Element) -> list[Chapter]:
        inherited = _inherited(root, {})
        found = []
        for element in self.tree.children(root):
            if element.tag == "chapter":
                chapter = self._read(partial(self._chapter, element, inherited), None)
                found += [chapter] if chapter else []
            elif element.tag in CONTAINERS or element.tag == "problem":
                self.tree.report(element.error("must stand in a chapter"))
        return found

    def _chapter(self, chapter: Element, inherited: Inherited) -> Chapter:
        inherited = _inherited(chapter, inherited)
        found = []
        for element in self.tree.children(chapter):
            if element.tag not in CONTAINERS:
                self.tree.report(element.error("must stand in a subsection"))
                continue
            given = _inherited(element, inherited)
            subsection = self._read(partial(self._subsection, element, given), None)
            found += [subsection] if subsection else []
        return Chapter(self._key(chapter), _name(chapter), tuple(found))

    def _subsection(self, element: Element, given: Inherited) -> Subsection:
        """Return the subsection, with the settings of its first occurrence in the outline."""
        usage_key = self._key(element)
        if usage_key not in self.subsections:
            found = _Collected()
            self._collect(element, found, pool=None, graded=None, depth=0)
            self.subsections[usage_key] = Subsection(
                usage_key=usage_key,
                display_name=_name(element),
                format=self._read(partial(_format, element, given), None),
                graded=self._read(partial(_flag, element, given, "graded"), None) or False,
                due=self._read(partial(_time, element, given, "due"), None),
                show_correctness=self._read(
                    partial(
                        show_correctness_from,
                        unquoted(given.get("show_correctness", "")),
                        element.location(),
                    ),
                    ShowCorrectness.ALWAYS,
                ),
                blocks=tuple(found.blocks.values()),
                selection_counts=found.selection_counts,
            )
        return self.subsections[usage_key]

    def _collect(
        self,
        parent: Element,
        found: _Collected,
        *,
        pool: UsageKey | None,
        graded: bool | None,
        depth: int,
    ) -> None:
        """Add the blocks below ``parent`` that can be scored, and the number each pool selects."""
        if depth > MAX_DEPTH:
            error = parent.error("stands too deep: do files point at each other?")
            raise CourseTooLarge(error.field, error.reason)
        one: int | None = 1
        count = self._read(partial(_selection_count, parent), one)
        if count is not None:
            pool = self._key(parent)
            found.selection_counts[pool] = count
        before = set(found.blocks)
        for child in self.tree.children(parent):
            is_graded = self._read(partial(_flag, child, child.attributes, "graded"), None)
            if is_graded is None:
                is_graded = graded
            if child.tag in CONTAINERS:
                collect = partial(self._collect, child, found, graded=is_graded, depth=depth + 1)
                self._read(partial(collect, pool=pool), None)
            elif may_be_scored(child):
                block = self._read(partial(self._block, child, is_graded, pool), None)
                if block is not None:
                    found.blocks.setdefault(block.usage_key, block)
        if parent.tag == "split_test" and found.blocks.keys() > before:
            for usage_key in found.blocks.keys() - before:
                del found.blocks[usage_key]
            raise parent.error("has blocks that are scored; its groups cannot be told apart here")

    def _block(self, element: Element, graded: bool | None, pool: UsageKey | None) -> Block:
        return Block(
            usage_key=self._key(element),
            block_type=element.tag,
            weight=self._read(partial(number_of, element, "weight"), None),
            max_score=self._read(partial(points_of, element), None),
            graded=graded,
            pool=pool,
            display_name=_name(element),
        )

    def _key(self, element: Element) -> UsageKey:
        if not element.url_name:
            raise element.error("has no url_name, by which scores find it")
        try:
            usage_key = self.course_key.make_usage_key(element.tag, element.url_name)
        except InvalidKeyError:
            raise element.error("makes no usage key", "url_name") from None
        if len(str(usage_key)) > MAX_TEXT:
            raise element.error(f"makes a key of more than {MAX_TEXT} characters", "url_name")
        return usage_key


def _log_error(error: InvalidCourse) -> None:
    log.warning("%s", error)


def _course_key(pointer: Element, run: str) -> CourseKey:
    org, course = pointer.attributes.get("org"), pointer.attributes.get("course")
    try:
        return CourseLocator(org, course, run)
    except InvalidKeyError:
        raise pointer.error("needs org, course and url_name that make a course key") from None


def _selection_count(container: Element) -> int | None:
    """Return how many blocks of a pool a learner gets; None if all, or if it is no pool."""
    if container.tag == "randomize":
        return 1
    if container.tag not in ("library_content", "itembank"):
        return None
    text = unquoted(container.attributes.get("max_count", "")).strip()
    try:
        count = int(float(text or 1))
    except (ValueError, OverflowError):
        raise container.error("must be a whole number", "max_count") from None
    return None if count < 0 else min(count, MAX_NUMBER)


def _inherited(element: Element, above: Inherited) -> Inherited:
    own = {name: element.attributes[name] for name in INHERITED if name in element.attributes}
    return {**above, **own}


def _name(element: Element) -> str:
    return unquoted(element.attributes.get("display_name", ""))[:MAX_TEXT]


def _format(element: Element, given: Inherited) -> str | None:
    text = unquoted(given.get("format", "")) or None
    if text is not None and len(text) > MAX_TEXT:
        raise element.error(f"is longer than {MAX_TEXT} characters", "format")
    return text


def _flag(element: Element, given: Inherited, name: str) -> bool | None:
    try:
        return flag_from(given.get(name, ""))
    except ValueError:
        raise element.error("must be true or false", name) from None


def _time(element: Element, given: Inherited, name: str) -> datetime | None:
    text = unquoted(given.get(name, "")).strip()
    return None if text in ("", "None") else date_from(text, element.location(name))
