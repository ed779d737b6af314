"""Read a course structure from a course that Studio exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from xqueue_bridge.course_structure.course import Block, Chapter, Course, Subsection
from xqueue_bridge.course_structure.json_format import content_version, show_correctness_from
from xqueue_bridge.course_structure.olx.files import open_olx
from xqueue_bridge.course_structure.olx.max_scores import may_be_scored, number_of, points_of
from xqueue_bridge.course_structure.olx.tree import CONTAINERS, OlxTree
from xqueue_bridge.course_structure.olx.xml import Element, unquoted
from xqueue_bridge.course_structure.policy import parse_policy
from xqueue_bridge.course_structure.validation import MAX_TEXT, time_from
from xqueue_bridge.exceptions import InvalidCourse

#: Attributes that all descendants inherit until one of them overrides the value.
INHERITED = ("graded", "format", "due", "show_correctness")
MAX_DEPTH = 20  # levels of containers in a subsection

Inherited = Mapping[str, str]


def read_olx(path: Path, course_key: CourseKey | None = None) -> Course:
    """Return the course in a folder or tar.gz; its version is the hash of its content.

    ``course_key`` replaces the key that the course's own org, course and run make. Raises
    InvalidCourse, which names file and element.
    """
    tree = OlxTree(open_olx(path))
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
        file = f"policies/{self.tree.run}/grading_policy.json"
        policy = self.tree.json(file)
        if policy is None:
            raise InvalidCourse(file, "is missing")
        return Course(
            course_key=self.course_key,
            version="",
            edited_on=None,
            end=_time(root, root.attributes, "end"),
            policy=parse_policy(policy, file),
            chapters=tuple(self._chapters(root)),
            display_name=_name(root),
        )

    def _chapters(self, root: Element) -> list[Chapter]:
        inherited = _inherited(root, {})
        found = []
        for element in self.tree.children(root):
            if element.tag == "chapter":
                found.append(self._chapter(element, inherited))
            elif element.tag in CONTAINERS or element.tag == "problem":
                raise element.error("must stand in a chapter")
        return found

    def _chapter(self, chapter: Element, inherited: Inherited) -> Chapter:
        inherited = _inherited(chapter, inherited)
        found = []
        for element in self.tree.children(chapter):
            if element.tag not in CONTAINERS:
                raise element.error("must stand in a subsection")
            found.append(self._subsection(element, _inherited(element, inherited)))
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
                format=_format(element, given),
                graded=_flag(element, given, "graded") or False,
                due=_time(element, given, "due"),
                show_correctness=show_correctness_from(
                    given.get("show_correctness"), element.location()
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
            raise parent.error("stands too deep: do files point at each other?")
        drawn = _selection_count(parent)
        if drawn is not None:
            pool = self._key(parent)
            found.selection_counts[pool] = drawn
        before = len(found.blocks)
        for child in self.tree.children(parent):
            said = _flag(child, child.attributes, "graded")
            if said is None:
                said = graded
            if child.tag in CONTAINERS:
                self._collect(child, found, pool=pool, graded=said, depth=depth + 1)
            elif may_be_scored(child):
                block = self._block(child, said, pool)
                found.blocks.setdefault(block.usage_key, block)
        if parent.tag == "split_test" and len(found.blocks) > before:
            raise parent.error("has blocks that are scored; its groups cannot be told apart here")

    def _block(self, element: Element, graded: bool | None, pool: UsageKey | None) -> Block:
        return Block(
            usage_key=self._key(element),
            block_type=element.tag,
            weight=number_of(element, "weight"),
            max_score=points_of(element),
            graded=graded,
            pool=pool,
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
    text = unquoted(container.attributes.get("max_count", "1")).strip()
    try:
        count = int(text)
    except ValueError:
        raise container.error("must be a whole number", "max_count") from None
    return None if count < 0 else count


def _inherited(element: Element, above: Inherited) -> Inherited:
    own = {name: element.attributes[name] for name in INHERITED if name in element.attributes}
    return {**above, **own}


def _name(element: Element) -> str:
    return unquoted(element.attributes.get("display_name", ""))[:MAX_TEXT]


def _format(element: Element, given: Inherited) -> str | None:
    text = given.get("format") or None
    if text is not None and len(text) > MAX_TEXT:
        raise element.error(f"is longer than {MAX_TEXT} characters", "format")
    return text


def _flag(element: Element, given: Inherited, name: str) -> bool | None:
    text = unquoted(given.get(name, "")).strip().lower()
    if text in ("", "null", "none"):
        return None
    if text not in ("true", "false"):
        raise element.error("must be true or false", name)
    return text == "true"


def _time(element: Element, given: Inherited, name: str) -> datetime | None:
    text = unquoted(given.get(name, "")).strip()
    return None if text in ("", "null", "None") else time_from(text, element.location(name))
