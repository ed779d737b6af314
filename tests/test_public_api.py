"""``xqueue_bridge.api`` and the page that describes it."""

from __future__ import annotations

import re
from pathlib import Path

import xqueue_bridge
from xqueue_bridge import api

PAGE = Path(__file__).parent.parent / "docs" / "references" / "python_api.rst"
DIRECTIVE = re.compile(r"^\.\. (?:py:|auto)(?:class|function|exception):: ([\w.]+)", re.MULTILINE)
#: Classes on the page that the modules of values and states define.
ELSEWHERE = {"Status"}


def test_page_describes_the_names_of_the_api_and_no_others() -> None:
    named = DIRECTIVE.findall(PAGE.read_text(encoding="utf-8"))
    described = {name.rpartition(".")[2] for name in named} - ELSEWHERE
    assert described == set(api.__all__)


def test_every_name_of_the_api_is_an_object() -> None:
    assert all(callable(getattr(api, name)) for name in api.__all__)


def test_service_and_interface_are_those_of_the_package() -> None:
    assert api.XQueueService is xqueue_bridge.XQueueService
    assert api.XQueueInterface is xqueue_bridge.XQueueInterface
