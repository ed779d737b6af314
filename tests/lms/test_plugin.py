"""Our XQueueService is put in place of the platform's, if that has the form that we know."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.checks import run_checks
from edx_django_utils.plugins import (
    get_plugin_apps,
    get_plugin_url_patterns,
    plugin_settings,
    registry,
)

from tests.lms import stand_ins
from xqueue_bridge import XQueueService
from xqueue_bridge.apps import XQueueBridgeConfig
from xqueue_bridge.checks.host import check_host
from xqueue_bridge.checks.lms import check_lms
from xqueue_bridge.conf import options
from xqueue_bridge.lms import plugin
from xqueue_bridge.lms.project_type import is_cms, is_lms
from xqueue_bridge.settings import common, devstack, production, test

RENDER, CAPA = plugin.MODULES


@pytest.fixture
def lms(settings, monkeypatch) -> stand_ins.Platform:
    """An LMS, as far as its settings and modules say so."""
    stand_ins.add_installed_apps(monkeypatch, stand_ins.COURSEWARE)
    return stand_ins.install(monkeypatch)


@pytest.fixture
def config(monkeypatch) -> XQueueBridgeConfig:
    """The app's configuration, which the test may change."""
    found = apps.get_app_config("xqueue_bridge")
    monkeypatch.setattr(found, "service_installation", None)
    return found


def messages() -> dict[str, str]:
    return {m.id.removeprefix("xqueue_bridge."): f"{m.msg} {m.hint}" for m in check_lms()}


@pytest.mark.parametrize(
    ("urls", "apps_installed", "lms_found", "cms_found"),
    [
        ("lms.urls", ["lms.djangoapps.courseware"], True, False),
        ("lms.urls", ["lms.djangoapps.courseware.apps.CoursewareConfig"], True, False),
        ("our_site.lms_urls", ["lms.djangoapps.courseware"], True, False),
        ("cms.urls", ["lms.djangoapps.courseware"], False, True),
        ("lms.urls", ["lms.djangoapps.coursewarehistoryextended"], False, False),
        ("our_site.urls", [], False, False),
        (None, [], False, False),
    ],
)
def test_lms_or_cms(settings, monkeypatch, urls, apps_installed, lms_found, cms_found):
    settings.ROOT_URLCONF = urls
    stand_ins.add_installed_apps(monkeypatch, *apps_installed)
    assert (is_lms(), is_cms()) == (lms_found, cms_found)


@pytest.mark.parametrize("module", plugin.MODULES)
def test_service_takes_the_platform_s_name(lms, module):
    """The name is in block_render since 2026, in capa_block before."""
    sys.modules[module].XQueueService = stand_ins.XQueueService
    assert plugin.install(XQueueService) == plugin.Installation(module)
    assert import_module(module).XQueueService is XQueueService
    # Again, as a second AppConfig.ready() does.
    assert plugin.install(XQueueService) == plugin.Installation(module)


class Renamed:
    interface = default_queuename = waittime = None

    def __init__(self, block): ...


class MoreArguments(stand_ins.XQueueService):
    def __init__(self, block, user): ...


@pytest.mark.parametrize(
    ("theirs", "problem"),
    [
        (Renamed, "lacks construct_callback"),
        (MoreArguments, "takes (block, user), not (block)"),
        (len, "is not a class"),
    ],
)
def test_unknown_form_of_the_service_is_left_alone(lms, config, theirs, problem):
    """Blocks of another release may call the service otherwise, so a check reports it."""
    sys.modules[RENDER].XQueueService = theirs
    config._install_service()
    assert sys.modules[RENDER].XQueueService is theirs
    assert problem in messages()["E040"]
    assert "['REPLACE_XQUEUE_SERVICE'] = False" in messages()["E040"]


def test_a_platform_without_the_name(lms):
    """As before 2025, when blocks made the interface themselves."""
    assert (
        plugin.install(XQueueService).problem == f"neither {RENDER} nor {CAPA} has a XQueueService"
    )


def test_a_module_that_cannot_be_imported(lms, monkeypatch):
    monkeypatch.setitem(sys.modules, RENDER, None)
    found = plugin.install(XQueueService)
    assert found.problem == f"{RENDER} cannot be imported: ModuleNotFoundError"


def test_check_says_what_is_in_force(lms, config, settings):
    sys.modules[RENDER].XQueueService = stand_ins.XQueueService
    config._install_service()
    [text] = messages().values()
    assert f"{RENDER}.XQueueService is the bridge's" in text
    assert "backend 'block'" in text
    assert "XQUEUE_BRIDGE['REPLACE_XQUEUE_SERVICE'] = False" in text


def test_service_can_be_left_to_the_platform(lms, config, settings):
    settings.XQUEUE_BRIDGE = {"REPLACE_XQUEUE_SERVICE": False}
    sys.modules[RENDER].XQueueService = stand_ins.XQueueService
    config._install_service()
    assert sys.modules[RENDER].XQueueService is stand_ins.XQueueService
    assert list(messages()) == ["I002"]


def test_nothing_is_replaced_in_a_cms(settings, lms, config):
    settings.ROOT_URLCONF = "cms.urls"
    sys.modules[RENDER].XQueueService = stand_ins.XQueueService
    config._install_service()
    assert sys.modules[RENDER].XQueueService is stand_ins.XQueueService
    assert check_lms() == []
    settings.STORAGES = {}
    assert check_host() == []


@pytest.mark.django_db
def test_no_check_of_an_lms_elsewhere():
    assert check_lms() == []
    assert [m for m in run_checks() if m.id and m.id.startswith("xqueue_bridge.I")] == []


def test_defaults_of_an_lms(lms, settings):
    """The platform's blocks take replies, and the platform computes grades."""
    found = options()
    assert found.REPLY_BACKEND == "block"
    assert found.BLOCK_LOADER == "xqueue_bridge.lms.loader.load_block"
    assert found.COURSE_STRUCTURE_BACKEND is None
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "callback", "BLOCK_LOADER": "a.b"}
    assert (options().REPLY_BACKEND, options().BLOCK_LOADER) == ("callback", "a.b")


def test_backend_state_is_an_error_in_an_lms(lms, config, settings):
    """Its grades would be written to tables that no LMS reads."""
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "state"}
    assert "XQUEUE_BRIDGE['REPLY_BACKEND'] = 'block'" in messages()["E041"]


def test_tracking_log_without_our_pattern_is_an_error(lms, config, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "common.djangoapps.track.middleware.TrackMiddleware",
    ]
    settings.ROOT_URLCONF = "tests.urls"
    settings.TRACKING_IGNORE_URL_PATTERNS = [r"^/event", r"^/login", r"^/heartbeat"]
    assert "TRACKING_IGNORE_URL_PATTERNS += ['^/xqueue/']" in messages()["E042"]
    settings.TRACKING_IGNORE_URL_PATTERNS = [r"^/event", common.TRACKING_IGNORE]
    assert "E042" not in messages()


# -- settings -----------------------------------------------------------------------------------

FOLDERS = "django.core.files.storage.FileSystemStorage"


def site(**more) -> SimpleNamespace:
    """The settings module of an LMS, as far as we read it."""
    return SimpleNamespace(
        TRACKING_IGNORE_URL_PATTERNS=[r"^/event", r"^/login", r"^/heartbeat"],
        HEARTBEAT_EXTENDED_CHECKS=("a.check",),
        DATA_DIR="/openedx/data",
        **more,
    )


def test_common_runs_before_there_are_storages():
    """In releases before 2026, envs/common.py calls it before it defines STORAGES."""
    found = site()
    common.plugin_settings(found)
    common.plugin_settings(found)
    assert found.TRACKING_IGNORE_URL_PATTERNS == [
        r"^/event",
        r"^/login",
        r"^/heartbeat",
        "^/xqueue/",
    ]
    assert found.HEARTBEAT_EXTENDED_CHECKS == ("a.check", "xqueue_bridge.health.health_check")
    assert not hasattr(found, "STORAGES")


@pytest.mark.parametrize("kind", [production, devstack, test], ids=lambda kind: kind.__name__)
def test_a_private_storage_is_added(kind):
    default = {"BACKEND": FOLDERS, "OPTIONS": {"location": "/openedx/media"}}
    found = site(STORAGES={"default": default})
    kind.plugin_settings(found)
    assert {
        "default": default,
        "xqueue_bridge": {
            "BACKEND": FOLDERS,
            "OPTIONS": {"location": "/openedx/data/xqueue_bridge"},
        },
    } == found.STORAGES
    assert "^/xqueue/" in found.TRACKING_IGNORE_URL_PATTERNS


@pytest.mark.parametrize(
    "storages",
    [
        {"default": {"BACKEND": "storages.backends.s3.S3Storage"}},
        {"default": {"BACKEND": FOLDERS}, "xqueue_bridge": {"BACKEND": "a.b"}},
    ],
    ids=["object storage", "has one"],
)
def test_no_storage_is_guessed(storages):
    """Machines that share no folder could not read each other's files; W001 asks for a storage."""
    found = site(STORAGES=dict(storages))
    production.plugin_settings(found)
    assert storages == found.STORAGES


@pytest.fixture
def registered(monkeypatch) -> None:
    """The app as the platform finds it, by its entry points."""
    monkeypatch.setattr(registry, "get_plugin_app_configs", lambda project: [XQueueBridgeConfig])


@pytest.mark.parametrize("project", ["lms.djangoapp", "cms.djangoapp"])
@pytest.mark.parametrize("kind", ["common", "production", "devstack", "test"])
def test_the_platform_finds_our_settings(registered, project, kind):
    """edx-django-utils imports the modules that plugin_app names."""
    assert get_plugin_apps(project) == ["xqueue_bridge.apps.XQueueBridgeConfig"]
    modules = [module.__name__ for module in plugin_settings._iter_plugins(project, kind)]
    assert modules == [f"xqueue_bridge.settings.{kind}"]


def test_the_platform_finds_our_urls(registered):
    """In an LMS only: graders are no business of a CMS."""
    assert get_plugin_url_patterns("cms.djangoapp") == []
    [found] = get_plugin_url_patterns("lms.djangoapp")
    assert found.namespace == "xqueue_bridge"
    assert found.resolve("xqueue/login/").view_name == "xqueue_bridge:login"


def test_entry_points():
    """setup.py registers the app for both projects."""
    text = (Path(__file__).resolve().parent.parent.parent / "setup.py").read_text()
    for project in ("lms.djangoapp", "cms.djangoapp"):
        assert f'"{project}": ["xqueue_bridge = xqueue_bridge.apps:XQueueBridgeConfig"]' in text
