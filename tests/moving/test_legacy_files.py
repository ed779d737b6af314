"""Files of a legacy XQueue's rows: from its storage, from its links, and the limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from xqueue_bridge.moving.adopt import NotImportable
from xqueue_bridge.moving.legacy_files import LegacyFiles
from xqueue_bridge.moving.legacy_table import LegacyRow

LINK = "https://files.example.com/a?signature=x"


def row(**values: Any) -> LegacyRow:
    return LegacyRow(queue_name="python", **{"s3_keys": "{}", "s3_urls": "{}", **values})


def read(row: LegacyRow, alias: str | None = None) -> dict[str, bytes]:
    return {file.name: file.content.read() for file in LegacyFiles(alias).read(row)}


@pytest.fixture
def storage(settings, tmp_path):
    """The server's storage, as an entry of STORAGES."""
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = {
        **settings.STORAGES,
        "legacy": {**backend, "OPTIONS": {"location": str(tmp_path)}},
    }
    return storages["legacy"]


def test_no_files():
    assert read(row()) == read(row(s3_keys="", s3_urls="")) == {}


def test_files_of_its_storage(storage):
    storage.save("python/0123", ContentFile(b"print(1)"))
    assert read(row(s3_keys='{"a.py": "0123"}'), "legacy") == {"a.py": b"print(1)"}


def test_long_map_of_its_storage(storage):
    storage.save("python/0123", ContentFile(b"print(1)"))
    maps = {"files": {"a.py": LINK}, "keys": {"a.py": "0123"}}
    storage.save("python/map", ContentFile(json.dumps(maps).encode()))
    keys = json.dumps({"KEY_FOR_EXTERNAL_DICTS": "map"})
    assert read(row(s3_keys=keys), "legacy") == {"a.py": b"print(1)"}


def test_files_of_its_links():
    with responses.RequestsMock() as mocked:
        mocked.get(LINK, body=b"print(1)")
        assert read(row(s3_urls=json.dumps({"a.py": LINK}))) == {"a.py": b"print(1)"}


def test_long_map_of_its_links():
    with responses.RequestsMock() as mocked:
        mocked.get("https://files.example.com/map", json={"files": {"a.py": LINK}, "keys": {}})
        mocked.get(LINK, body=b"print(1)")
        urls = json.dumps({"URL_FOR_EXTERNAL_DICTS": "https://files.example.com/map"})
        assert read(row(s3_urls=urls)) == {"a.py": b"print(1)"}


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ('{"a.py": "/media/python/0123"}', "no http links"),
        ('{"a.py": "file:///etc/passwd"}', "no http links"),
        ("[1]", "not a JSON object"),
        ("{", "cannot be read: JSONDecodeError"),
        ("[" * 100_000, "cannot be read: ValueError"),
        (json.dumps({"a.py": LINK}), "cannot be read: HTTPError"),
        (json.dumps(dict.fromkeys("abcdefghijklmnopqrstuvwxyz", LINK)), "MAX_FILES"),
    ],
)
def test_files_that_cannot_be_read(urls, words):
    """The message has no link, which may be signed."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.get(LINK, status=403)
        with pytest.raises(NotImportable, match=words) as refusal:
            read(row(s3_urls=urls))
    assert "example.com" not in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "words"), [("0123", "FileNotFoundError"), ("../../0123", "SuspiciousFileOperation")]
)
def test_missing_file(storage, address, words):
    with pytest.raises(NotImportable, match=words):
        read(row(s3_keys=json.dumps({"a.py": address})), "legacy")


@pytest.mark.parametrize("maps", ['{"keys": ["0123"]}', '{"keys": null}', "{}"])
def test_long_map_that_is_no_map(storage, maps):
    storage.save("python/map", ContentFile(maps.encode()))
    with pytest.raises(NotImportable, match="cannot be read"):
        read(row(s3_keys=json.dumps({"KEY_FOR_EXTERNAL_DICTS": "map"})), "legacy")


def test_file_that_is_too_large(storage, settings):
    settings.XQUEUE_BRIDGE = {"MAX_FILE_BYTES": 4}
    storage.save("python/0123", ContentFile(b"print(1)"))
    with pytest.raises(NotImportable, match="its files: "):
        read(row(s3_keys='{"a.py": "0123"}'), "legacy")
