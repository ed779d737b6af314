"""HTTP requests of the process to the LMS itself, without a socket."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import requests
from django.test import Client

URL = "http://lms.example.com"


class LmsAdapter(requests.adapters.BaseAdapter):
    """Give the requests of a session to the LMS's handlers, through its middleware and URLs."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client()  # keeps the cookies

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url)
        body = request.body or b""
        headers = {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in request.headers.items()
            if name.lower() not in ("content-type", "content-length")
        }
        platform_response = self.client.generic(
            request.method,
            parts.path,
            body,
            content_type=request.headers.get("Content-Type", ""),
            QUERY_STRING=parts.query,
            **headers,
        )
        response = requests.Response()
        response.status_code = platform_response.status_code
        response.url = request.url
        response.headers.update(platform_response.headers)
        response.request = request
        response.raw = io.BytesIO(platform_response.content)
        return response

    def close(self) -> None:
        """Hold nothing open."""


@contextmanager
def requests_to_the_lms() -> Iterator[None]:
    """Route the requests of this process to the LMS itself."""
    adapters: WeakKeyDictionary[requests.Session, LmsAdapter] = WeakKeyDictionary()

    def get_adapter(session: requests.Session, url: str) -> LmsAdapter:
        return adapters.setdefault(session, LmsAdapter())

    with patch.object(requests.Session, "get_adapter", get_adapter):
        yield
