"""Files of an exported course from an untrusted source: folders, archives, links and limits."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.course_structure import olx_factories
from xqueue_bridge.course_structure.olx import files
from xqueue_bridge.course_structure.olx.files import open_olx
from xqueue_bridge.exceptions import InvalidCourse

COURSE = {"course.xml": "<course/>"}


def pack(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for member in members:
            packed.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, size: int = 1, **attributes) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = size
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def test_file_of_a_folder_is_read_or_none(tmp_path):
    found = open_olx(olx_factories.folder(tmp_path, olx_factories.FILES))
    assert found.read("course.xml") == olx_factories.FILES["course.xml"].encode()
    assert found.read("nothing.xml") is None
    assert found.read("chapter") is None


def test_link_or_path_out_of_the_folder_is_none(tmp_path):
    secret = tmp_path / "secret.xml"
    secret.write_text("<secret/>")
    root = olx_factories.folder(tmp_path / "course", COURSE)
    os.symlink(secret, root / "problem.xml")
    found = open_olx(root)
    assert found.read("problem.xml") is None
    assert found.read("../secret.xml") is None
    assert found.read(str(secret)) is None


def test_link_inside_the_folder_is_followed(tmp_path):
    root = olx_factories.folder(tmp_path, {**COURSE, "a.xml": "<a/>"})
    os.symlink("a.xml", root / "b.xml")
    assert open_olx(root).read("b.xml") == b"<a/>"


def test_name_that_is_too_long_for_a_file_is_refused(tmp_path):
    found = open_olx(olx_factories.folder(tmp_path, COURSE))
    with pytest.raises(InvalidCourse, match="cannot be read"):
        found.read(f"{'a' * 300}.xml")


def test_circular_links_are_none_or_refused(tmp_path):
    root = olx_factories.folder(tmp_path, COURSE)
    os.symlink("b.xml", root / "a.xml")
    os.symlink("a.xml", root / "b.xml")
    try:
        assert open_olx(root).read("a.xml") is None  # since Python 3.13
    except InvalidCourse as exc:
        assert str(exc) == "a.xml: cannot be read: links in a circle"


def test_archive_keeps_xml_and_not_other_files(tmp_path):
    films = {"static/film.mp4": b"0" * 100_000, "static/page.html": "<p>"}
    found = open_olx(olx_factories.archive(tmp_path / "c.tar.gz", {**COURSE, **films}))
    assert found.read("course.xml") == b"<course/>"
    assert found.read("static/page.html") is None


@pytest.mark.parametrize("name", ["/etc/course.xml", "../course.xml", "a/../../course.xml"])
def test_archive_member_with_a_path_outside_is_refused(tmp_path, name):
    path = olx_factories.archive(tmp_path / "c.tar.gz", {name: "<course/>"}, prefix="")
    with pytest.raises(InvalidCourse, match="outside of its own folder"):
        open_olx(path)


def test_link_in_an_archive_is_not_read(tmp_path):
    link = member("course/course.xml", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd")
    with pytest.raises(InvalidCourse, match=r"no course\.xml"):
        open_olx(pack(tmp_path / "c.tar.gz", link))


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("MAX_FILE_BYTES", 5),
        ("MAX_KEPT_BYTES", 15),
        ("MAX_ARCHIVE_BYTES", 2000),
        ("MAX_MEMBERS", 2),
    ],
)
def test_archive_over_a_limit_is_refused(tmp_path, monkeypatch, limit, value):
    path = olx_factories.archive(
        tmp_path / "c.tar.gz", {**COURSE, "a.xml": "<aaaaaaa/>", "b.xml": "<b/>"}
    )
    open_olx(path)
    monkeypatch.setattr(files, limit, value)
    with pytest.raises(InvalidCourse, match=r"too large|more than"):
        open_olx(path)


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("MAX_FILE_BYTES", 11),
        ("MAX_KEPT_BYTES", 24),
        ("MAX_ARCHIVE_BYTES", tarfile.RECORDSIZE),
        ("MAX_MEMBERS", 3),
    ],
)
def test_archive_at_a_limit_is_read(tmp_path, monkeypatch, limit, value):
    path = olx_factories.archive(
        tmp_path / "c.tar.gz", {**COURSE, "a.xml": "<aaaaaaaa/>", "b.xml": "<b/>"}
    )
    monkeypatch.setattr(files, limit, value)
    assert open_olx(path).read("a.xml") == b"<aaaaaaaa/>"
    monkeypatch.setattr(files, limit, value - 1)
    with pytest.raises(InvalidCourse, match=r"too large|more than"):
        open_olx(path)


def test_limit_is_on_the_unpacked_size_of_an_archive(tmp_path, monkeypatch):
    path = olx_factories.archive(
        tmp_path / "c.tar.gz", {**COURSE, "static/film.mp4": b"0" * 1_000_000}
    )
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(files, "MAX_ARCHIVE_BYTES", 100_000)
    with pytest.raises(InvalidCourse, match="unpacks to more than"):
        open_olx(path)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_header_with_a_name_of_200000_bytes_is_refused(tmp_path, kind):
    path = pack(tmp_path / "c.tar.gz", member("name", 200_000, type=kind), member("course.xml"))
    with pytest.raises(InvalidCourse, match="too long a name"):
        open_olx(path)


def test_file_over_the_limit_in_a_folder_is_refused(tmp_path, monkeypatch):
    root = olx_factories.folder(tmp_path, COURSE)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 9)
    assert open_olx(root).read("course.xml") == b"<course/>"
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 8)
    with pytest.raises(InvalidCourse, match=r"course.xml: is larger"):
        open_olx(root)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b"not tar" * 500),
        gzip.compress(b"x" * 5000)[:20],
    ],
    ids=["empty", "text", "gzip", "cut"],  # gzip writes the time into its header
)
def test_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "course.tar.gz"
    path.write_bytes(content)
    with pytest.raises(InvalidCourse, match=r"neither a folder nor an intact|has no course"):
        open_olx(path)


def test_truncated_archive_is_refused(tmp_path):
    path = olx_factories.archive(tmp_path / "c.tar.gz", {**COURSE, "b.xml": os.urandom(9000).hex()})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InvalidCourse, match="neither a folder nor an intact"):
        open_olx(path)


def test_chain_of_5000_headers_is_refused(tmp_path):
    # Each is read inside the one before.
    chain = [member("x", 8, type=tarfile.XHDTYPE) for _ in range(5000)]
    path = pack(tmp_path / "c.tar.gz", *chain, member("course.xml"))
    with pytest.raises(InvalidCourse, match="neither a folder nor an intact"):
        open_olx(path)


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(InvalidCourse, match="is not there"):
        open_olx(tmp_path / "nothing.tar.gz")


def test_folder_with_two_courses_is_refused(tmp_path):
    made = {f"{name}/course.xml": "<course/>" for name in ("one", "two")}
    with pytest.raises(InvalidCourse, match=r"nor one folder with a course\.xml"):
        open_olx(olx_factories.folder(tmp_path, made))
