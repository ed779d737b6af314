"""Read the files of an exported course, in a folder or a tar.gz, from untrusted authors."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

from xqueue_bridge.exceptions import InvalidCourse

MAX_FILE_BYTES = 10_000_000
#: Limit on the files that are kept in memory, which are texts.
MAX_KEPT_BYTES = 500_000_000
#: Limit on the whole unpacked archive: courses contain videos and images, which are skipped.
MAX_ARCHIVE_BYTES = 8_000_000_000
MAX_MEMBERS = 100_000
MAX_NAME_BYTES = 100_000

#: Header types that contain the next member's name.
NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)

KEPT = (".xml", ".json")

#: Exceptions of tarfile and gzip for invalid headers and data.
BROKEN_ARCHIVE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    OverflowError,
    RecursionError,
    ValueError,
)


class OlxFiles(Protocol):
    """Files by their path relative to the folder that contains ``course.xml``."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is no such file. Raises InvalidCourse."""
        ...


class _Outer(OlxFiles, Protocol):
    def folders(self) -> list[str]:
        """Return the names of the top-level folders."""
        ...


def open_olx(path: Path) -> OlxFiles:
    """Return the files of a course. Raises InvalidCourse if the path cannot contain one."""
    files: _Outer = FolderFiles(path) if path.is_dir() else ArchiveFiles(path)
    if files.read("course.xml") is not None:
        return files
    # Studio's archives have one folder, "course"; downloads of repositories one with their name.
    inside = [name for name in files.folders() if files.read(f"{name}/course.xml") is not None]
    if len(inside) != 1:
        raise InvalidCourse(str(path), "has no course.xml, nor one folder with a course.xml")
    return InnerFiles(files, inside[0])


class FolderFiles:
    """A course in a folder. Targets of links that lead outside of the folder are excluded."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def read(self, name: str) -> bytes | None:
        with _reading_errors(name):
            path = (self.root / name).resolve()
            if not path.is_relative_to(self.root) or not path.is_file():
                return None
            if path.stat().st_size > MAX_FILE_BYTES:
                raise InvalidCourse(name, f"is larger than {MAX_FILE_BYTES:,} bytes")
            return path.read_bytes()

    def folders(self) -> list[str]:
        with _reading_errors(str(self.root)):
            return [path.name for path in self.root.iterdir() if path.is_dir()]


class ArchiveFiles:
    """A course in a tar.gz, read once from front to end; nothing is unpacked to disk."""

    def __init__(self, path: Path) -> None:
        with _archive_errors(path), gzip.open(path) as unpacked:
            self._files: Mapping[str, bytes] = dict(_members(_Bounded(unpacked)))

    def read(self, name: str) -> bytes | None:
        return self._files.get(name)

    def folders(self) -> list[str]:
        return sorted({name.split("/")[0] for name in self._files if "/" in name})


class InnerFiles:
    """A course in a subfolder of other OlxFiles."""

    def __init__(self, outer: OlxFiles, folder: str) -> None:
        self.outer, self.folder = outer, folder

    def read(self, name: str) -> bytes | None:
        return self.outer.read(f"{self.folder}/{name}")


@contextmanager
def _reading_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InvalidCourse(name, "is not there") from None
    except OSError as exc:
        raise InvalidCourse(name, f"cannot be read: {exc.strerror}") from None
    except RuntimeError:  # raised up to Python 3.12
        raise InvalidCourse(name, "cannot be read: links in a circle") from None


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    with _reading_errors(str(path)):
        try:
            yield
        except InvalidCourse:
            raise
        except BROKEN_ARCHIVE:
            reason = "is neither a folder nor an intact tar.gz"
            raise InvalidCourse(str(path), reason) from None


def _members(unpacked: io.RawIOBase) -> Iterator[tuple[str, bytes]]:
    kept = 0
    with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Header) as archive:
        for number, member in enumerate(archive):
            if number >= MAX_MEMBERS:
                raise InvalidCourse("archive", f"has more than {MAX_MEMBERS:,} members")
            name = _safe_name(member.name)
            if not member.isreg() or not name.endswith(KEPT):
                continue
            kept += member.size
            if member.size > MAX_FILE_BYTES or kept > MAX_KEPT_BYTES:
                raise InvalidCourse(name, "is too large")
            content = archive.extractfile(member)
            if content is not None:
                yield name, content.read()


class _Header(tarfile.TarInfo):
    """Refuse header data, such as names, that is too long: tarfile keeps it in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        is_plain = header.type in tarfile.SUPPORTED_TYPES and header.type not in NAMES
        if not is_plain and header.size > MAX_NAME_BYTES:
            raise InvalidCourse("archive", "has a member with too long a name")
        return header


def _safe_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InvalidCourse("archive", "has a member outside of its own folder")
    return str(path)


class _Bounded(io.RawIOBase):
    """Stop reading an archive that unpacks to far more than any course."""

    def __init__(self, unpacked: gzip.GzipFile) -> None:
        self.unpacked = unpacked
        self.left = MAX_ARCHIVE_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self.unpacked.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise InvalidCourse("archive", f"unpacks to more than {MAX_ARCHIVE_BYTES:,} bytes")
        return data
