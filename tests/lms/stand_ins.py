"""Modules with the names and signatures of the platform's, for one test.

As in edx-platform's main branch of autumn 2025; the comments say what 2026 has instead.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.dispatch import Signal

from tests.lms import platform_signatures
from tests.lms.platform_signatures import takes_parameters_of

COURSEWARE = "lms.djangoapps.courseware"


def add_installed_apps(monkeypatch: pytest.MonkeyPatch, *apps: str) -> None:
    """Let INSTALLED_APPS name these apps, too. They are not imported."""
    monkeypatch.setattr(settings, "INSTALLED_APPS", [*settings.INSTALLED_APPS, *apps])


class ItemNotFoundError(Exception):
    """What the module store raises for a block that is not there."""


class XQueueService:
    """The platform's service, as blocks see it."""

    interface = default_queuename = waittime = None

    def __init__(self, block: Any) -> None:
        self.block = block

    def construct_callback(self, dispatch: str = "score_update") -> str:
        return dispatch


@dataclass
class ModuleStore:
    """The module store: ``blocks`` and ``courses`` by key; ``fault`` is raised by the next read."""

    blocks: dict[Any, Any] = field(default_factory=dict)
    courses: dict[Any, Any] = field(default_factory=dict)
    fault: Exception | None = None
    bulk: list[Any] = field(default_factory=list)

    @contextmanager
    def bulk_operations(self, course_id: Any, emit_signals: bool = True):
        self.bulk.append(course_id)
        yield

    def get_item(self, usage_key: Any, depth: int = 0) -> Any:
        if self.fault:
            raise self.fault
        try:
            return self.blocks[usage_key]
        except KeyError:
            raise ItemNotFoundError(usage_key) from None

    def get_course(self, course_key: Any, depth: int = 0, lazy: bool = True) -> Any:
        return self.courses.get(course_key)


@dataclass
class Platform:
    """The stand-ins, and the calls that they have received."""

    store: ModuleStore
    user_retired: Signal
    bound: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list)


def install(monkeypatch: pytest.MonkeyPatch) -> Platform:
    """Put the stand-ins where imports find them, until the test ends."""
    platform = Platform(ModuleStore(), Signal())

    @takes_parameters_of(platform_signatures.get_block_for_descriptor)
    def get_block_for_descriptor(given):
        platform.bound.append(vars(given))
        if getattr(given.user, "known", True) and not getattr(given.user, "is_enrolled", False):
            return None  # as the access check has it for a learner who is not enrolled
        return given.block

    class FieldDataCache:
        @staticmethod
        @takes_parameters_of(platform_signatures.cache_for_block_descendents)
        def cache_for_block_descendents(given):
            return given

    class Tracker:
        def __init__(self) -> None:
            self.contexts: list[dict[str, Any]] = []

        @contextmanager
        def context(self, name: str, context: dict[str, Any]):
            self.contexts.append(context)
            yield
            self.contexts.pop()

    tracker = Tracker()

    def emit(name: str, data: Any) -> None:
        merged = {key: value for each in tracker.contexts for key, value in each.items()}
        platform.events.append((name, data, merged))

    modules: dict[str, dict[str, Any]] = {
        "xmodule.modulestore.django": {"modulestore": lambda: platform.store},
        "xmodule.modulestore.exceptions": {"ItemNotFoundError": ItemNotFoundError},
        "xmodule.capa_block": {},
        "lms.djangoapps.courseware.block_render": {
            "get_block_for_descriptor": get_block_for_descriptor
        },
        "lms.djangoapps.courseware.model_data": {"FieldDataCache": FieldDataCache},
        "openedx.core.djangoapps.user_api.accounts.signals": {
            "USER_RETIRE_LMS_MISC": platform.user_retired
        },
        "common.djangoapps.track.contexts": {
            "course_context_from_course_id": lambda course_id: {
                "course_id": str(course_id),
                "org_id": course_id.org,
            }
        },
        "eventtracking.tracker": {"emit": emit, "get_tracker": lambda: tracker},
    }
    for name, members in modules.items():
        _module(monkeypatch, name, members)
    return platform


def _module(monkeypatch: pytest.MonkeyPatch, name: str, members: dict[str, Any]) -> None:
    parent, _, last = name.rpartition(".")
    if parent and parent not in sys.modules:
        _module(monkeypatch, parent, {})
    module = ModuleType(name)
    module.__path__ = []  # type: ignore[attr-defined]
    for member, value in members.items():
        setattr(module, member, value)
    monkeypatch.setitem(sys.modules, name, module)
    if parent:
        monkeypatch.setattr(sys.modules[parent], last, module, raising=False)
