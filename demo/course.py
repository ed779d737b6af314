"""The demo's course, read from the OLX files below ``demo/course`` as the LMS reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lxml import etree
from opaque_keys.edx.keys import CourseKey, UsageKey

OLX = Path(__file__).parent / "course"

#: Attributes of a sequential that its problems inherit, as in the LMS.
INHERITED = ("graded", "format", "due")


@dataclass(frozen=True)
class Problem:
    """One problem of the course.

    ``settings`` are the XML attributes (text); ``points`` has one entry per answer.
    """

    usage_key: UsageKey
    chapter: str
    subsection: str
    olx: str
    settings: Mapping[str, str]
    points: tuple[int, ...]
    takes_files: bool

    @property
    def url_name(self) -> str:
        return self.usage_key.block_id

    @property
    def title(self) -> str:
        return self.settings.get("display_name", self.url_name)

    @property
    def weight(self) -> float | None:
        weight = self.settings.get("weight")
        return None if weight is None else float(weight)

    @property
    def worth(self) -> float:
        """Return the factor of a point: all points together count the weight, if it is set."""
        return 1 if self.weight is None else self.weight / sum(self.points)

    @property
    def kind(self) -> str:
        """Return the kind of answer, ``"file"`` or ``"text"``."""
        return "file" if self.takes_files else "text"


@dataclass(frozen=True)
class Course:
    """The course, its problems in the order of the course outline."""

    key: CourseKey
    title: str
    problems: tuple[Problem, ...]
    grading_policy: Mapping[str, Any]

    @cached_property
    def _by_usage_key(self) -> dict[UsageKey, Problem]:
        return {problem.usage_key: problem for problem in self.problems}

    def problem(self, usage_key: UsageKey) -> Problem:
        """Return the problem; KeyError if the course has none there."""
        return self._by_usage_key[usage_key]

    def by_url_name(self, url_name: str) -> Problem:
        """Return the problem; KeyError if the course has none of that name."""
        return self.problem(self.key.make_usage_key("problem", url_name))


@cache
def course() -> Course:
    """Return the demo's course, read once."""
    return read(OLX)


def read(folder: Path) -> Course:
    """Read a course from a folder that contains ``course.xml``."""
    pointer = _parse(folder / "course.xml")
    run = pointer.get("url_name")
    key = CourseKey.from_string(f"course-v1:{pointer.get('org')}+{pointer.get('course')}+{run}")
    root = _follow(folder, pointer)
    policy = json.loads((folder / "policies" / run / "grading_policy.json").read_text("utf-8"))
    return Course(key, root.get("display_name"), tuple(_problems(folder, key, root)), policy)


def _problems(folder: Path, key: CourseKey, root: etree._Element) -> Iterator[Problem]:
    for chapter in _children(folder, root, "chapter"):
        for sequential in _children(folder, chapter, "sequential"):
            inherited = {name: sequential.get(name) for name in INHERITED if sequential.get(name)}
            for vertical in _children(folder, sequential, "vertical"):
                for pointer in vertical.iterchildren("problem"):
                    usage_key = key.make_usage_key("problem", pointer.get("url_name"))
                    node = _follow(folder, pointer)
                    names = (chapter.get("display_name"), sequential.get("display_name"))
                    yield _problem(usage_key, names, inherited, node)


def _problem(
    usage_key: UsageKey,
    names: tuple[str, str],
    inherited: Mapping[str, str],
    node: etree._Element,
) -> Problem:
    answers = node.xpath("//coderesponse/textbox | //coderesponse/filesubmission")
    return Problem(
        usage_key=usage_key,
        chapter=names[0],
        subsection=names[1],
        olx=etree.tostring(node, encoding="unicode", with_tail=False),
        settings={**inherited, **node.attrib},
        points=tuple(int(answer.get("points", 1)) for answer in answers),
        takes_files=any(answer.tag == "filesubmission" for answer in answers),
    )


def _children(folder: Path, parent: etree._Element, tag: str) -> Iterator[etree._Element]:
    return (_follow(folder, child) for child in parent.iterchildren(tag))


def _follow(folder: Path, node: etree._Element) -> etree._Element:
    """Return the element, or the one in the file that it points to."""
    if len(node) or node.get("url_name") is None:
        return node
    return _parse(folder / node.tag / f"{node.get('url_name')}.xml")


def _parse(path: Path) -> etree._Element:
    return etree.parse(str(path), etree.XMLParser(resolve_entities=False)).getroot()
