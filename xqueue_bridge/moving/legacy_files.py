"""The files of a legacy XQueue server's submissions: from its storage, or from its links."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import storages

from xqueue_bridge.conf import options
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.http_client import HTTP_ERRORS, TIMEOUTS, HTTPSession
from xqueue_bridge.moving.adopt import NotImportable
from xqueue_bridge.moving.legacy_table import LegacyRow
from xqueue_bridge.protocol.fields import read_json
from xqueue_bridge.xqueue_service.transports.base import read_files

#: Bytes read at once.
_CHUNK = 65_536
#: The server stores maps that are too long for their columns as a file, named under these keys.
_ALL_URLS, _ALL_KEYS = "URL_FOR_EXTERNAL_DICTS", "KEY_FOR_EXTERNAL_DICTS"
#: Exceptions of a row whose maps are no maps, or whose files are gone.
_UNREADABLE = (
    *HTTP_ERRORS,
    AttributeError,
    KeyError,
    OSError,
    SuspiciousOperation,
    TypeError,
)
#: Largest file with such maps.
_MOST_MAP_BYTES = 1_000_000


class LegacyFiles:
    """Read the files of a row; ``storage_alias`` is an entry of STORAGES, None for links."""

    def __init__(self, storage_alias: str | None = None) -> None:
        self._storage = storages[storage_alias] if storage_alias else None

    def read(self, row: LegacyRow) -> tuple[UploadedFile, ...]:
        """Return the files in memory; raise NotImportable if one is missing or too large."""
        try:
            return read_files(list(self._named(row)))
        except InvalidField as exc:
            raise NotImportable(f"its files: {exc.reason}") from None
        except _UNREADABLE as exc:  # the message may hold a signed link
            raise NotImportable(f"its files cannot be read: {type(exc).__name__}") from None

    def _named(self, row: LegacyRow) -> Iterator[IO[bytes]]:
        is_stored = self._storage is not None
        content = _mapping(row.s3_keys if is_stored else row.s3_urls)
        long = content.get(_ALL_KEYS if is_stored else _ALL_URLS)
        if long is not None:
            stored = self._content(row, str(long), _MOST_MAP_BYTES)
            content = _mapping(stored.read())["keys" if is_stored else "files"]
        if len(content) > options().MAX_FILES:
            raise NotImportable("it has more files than MAX_FILES")
        for name, address in content.items():
            file = self._content(row, str(address), options().MAX_FILE_BYTES + 1)
            file.name = name
            yield file

    def _content(self, row: LegacyRow, address: str, most: int) -> BytesIO:
        if self._storage is not None:
            with self._storage.open(f"{row.queue_name}/{address}", "rb") as stored:
                return BytesIO(stored.read(most))
        if urlsplit(address).scheme not in ("http", "https"):
            raise NotImportable("its files have no http links; name their storage")
        with (
            HTTPSession() as session,
            session.get(address, timeout=TIMEOUTS, stream=True) as response,
        ):
            response.raise_for_status()
            return _at_most(response, most)


def _at_most(response: requests.Response, most: int) -> BytesIO:
    content = BytesIO()
    for chunk in response.iter_content(_CHUNK):
        content.write(chunk)
        if content.tell() >= most:
            break
    content.seek(0)
    return content


def _mapping(text: str | bytes) -> dict[str, Any]:
    found = read_json(text or "{}")
    if not isinstance(found, dict):
        raise NotImportable("its list of files is not a JSON object")
    return found
