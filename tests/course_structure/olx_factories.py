"""Factories of small exported courses, as folders and archives."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.course_grades.courses import HOMEWORK

POLICY = {"GRADER": [HOMEWORK], "GRADE_CUTOFFS": {"Pass": 0.6}}

#: A course with every kind of file that an export has.
FILES = {
    "course.xml": '<course url_name="R" org="O" course="C"/>',
    "course/R.xml": '<course display_name="Small"><chapter url_name="one"/><wiki/></course>',
    "chapter/one.xml": '<chapter display_name="One"><sequential url_name="s"/></chapter>',
    "sequential/s.xml": (
        '<sequential display_name="First" format="Homework" graded="true">\n'
        '  <vertical url_name="v"/>\n</sequential>'
    ),
    "vertical/v.xml": '<vertical><html url_name="text"/><problem url_name="p"/></vertical>',
    "problem/p.xml": (
        '<problem weight="4.0"><p>Why?</p><coderesponse><textbox points="2"/></coderesponse>'
        "</problem>"
    ),
    "policies/R/policy.json": "{}",
    "policies/R/grading_policy.json": json.dumps(POLICY),
}


def files(**changed: str | None) -> dict[str, str]:
    """Return FILES with some changed: ``vertical__v="<vertical/>"`` is vertical/v.xml."""
    made: dict[str, str] = dict(FILES)
    for name, content in changed.items():
        path = f"{name.replace('__', '/')}.xml"
        made.pop(path, None)
        if content is not None:
            made[path] = content
    return made


def folder(root: Path, made: Mapping[str, str]) -> Path:
    """Write the files below ``root``, which is returned."""
    for name, content in made.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


def archive(path: Path, made: Mapping[str, str | bytes], prefix: str = "course/") -> Path:
    """Write the files into a tar.gz as Studio does, and return its path."""
    with tarfile.open(path, "w:gz") as packed:
        for name, content in made.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return path
