"""The flag: course, then organisation, then site, then waffle, then no."""

import itertools
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.cache import cache
from django.db import connection
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.checks.databases import check_databases
from xqueue_bridge.lms import waffle
from xqueue_bridge.xqueue_service import toggles
from xqueue_bridge.xqueue_service.models import TransportOverride
from xqueue_bridge.xqueue_service.toggles import WAFFLE_FLAG, use_edx_submissions_for_xqueue

COURSE = LearningContextKey.from_string("course-v1:DemoX+CS101+2026")
NAMES = {"course": str(COURSE), "org": "DemoX", "site": ""}


@pytest.fixture(autouse=True)
def legacy_server(settings) -> None:
    """Configure a legacy XQueue server, as every LMS does."""
    settings.XQUEUE_INTERFACE = {"url": "http://xqueue.example.com"}


def choose(scope: str, name: str, yes: bool) -> None:
    TransportOverride.objects.create(scope=scope, name=name, use_submissions_table=yes)


@pytest.mark.django_db
def test_default_is_the_legacy_server() -> None:
    """C28: a course without an override is not switched."""
    assert use_edx_submissions_for_xqueue(COURSE) is False
    assert use_edx_submissions_for_xqueue() is False


@pytest.mark.django_db
@pytest.mark.parametrize("interface", [None, {}, {"url": ""}, {"url": None}])
def test_without_a_legacy_server_the_submissions_table_is_used(settings, interface) -> None:
    """C28: a fresh installation needs no override; one that names the legacy server counts."""
    settings.XQUEUE_INTERFACE = interface
    assert use_edx_submissions_for_xqueue(COURSE) is True
    assert use_edx_submissions_for_xqueue(COURSE, legacy_url="http://xqueue.example.com") is False
    choose("course", str(COURSE), False)
    assert use_edx_submissions_for_xqueue(COURSE) is False
    del settings.XQUEUE_INTERFACE
    assert use_edx_submissions_for_xqueue() is True


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("course", "org", "site"), list(itertools.product([None, True, False], repeat=3))
)
def test_the_narrowest_override_wins(course, org, site) -> None:
    """C28: course before organisation before site."""
    overrides = {"course": course, "org": org, "site": site}
    for scope, yes in overrides.items():
        if yes is not None:
            choose(scope, NAMES[scope], yes)
    given = [yes for yes in overrides.values() if yes is not None]
    assert use_edx_submissions_for_xqueue(COURSE) is (given[0] if given else False)
    assert use_edx_submissions_for_xqueue() is bool(site)


@pytest.mark.django_db
def test_overrides_of_other_courses_do_not_count() -> None:
    """C28: switching is per course."""
    choose("course", "course-v1:DemoX+CS101+2025", True)
    choose("course", "DemoX", True)
    choose("org", "OtherX", True)
    choose("org", str(COURSE), True)
    choose("site", "DemoX", True)
    choose("course", "", True)
    choose("org", "", True)
    assert use_edx_submissions_for_xqueue(COURSE) is False
    assert use_edx_submissions_for_xqueue() is False


@pytest.mark.django_db
def test_a_library_has_an_organisation() -> None:
    """C28: content libraries follow their organisation."""
    choose("org", "DemoX", True)
    assert use_edx_submissions_for_xqueue(LearningContextKey.from_string("lib:DemoX:sums")) is True


@pytest.mark.parametrize(("yes", "name"), [(True, "submissions table"), (False, "legacy XQueue")])
def test_text_of_an_override_names_its_transport(yes: bool, name: str) -> None:
    override = TransportOverride(scope="org", name="DemoX", use_submissions_table=yes)
    assert str(override).endswith(name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("course_key", [COURSE, None])
def test_asking_is_one_query(django_assert_num_queries, course_key) -> None:
    """C28: the flag is asked at every send, so it is cheap."""
    for scope, name in NAMES.items():
        choose(scope, name, True)
    with django_assert_num_queries(1):
        use_edx_submissions_for_xqueue(course_key)


@pytest.fixture
def waffle_flag(transactional_db, settings) -> Iterator[type]:
    """django-waffle, installed for one test."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "waffle"]
    from waffle.models import Flag

    with connection.schema_editor() as editor:
        editor.create_model(Flag)
    cache.clear()
    yield Flag
    cache.clear()
    # The admin has registered them, and asks for their app on each page.
    for model in apps.get_app_config("waffle").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
    with connection.schema_editor() as editor:
        editor.delete_model(Flag)


@pytest.mark.parametrize("everyone", [True, False, None])
def test_waffle_is_the_site_value(waffle_flag, everyone) -> None:
    """C28: with django-waffle, the platform's flag answers for the site."""
    waffle_flag.objects.create(name=WAFFLE_FLAG, everyone=everyone)
    assert use_edx_submissions_for_xqueue(COURSE) is (everyone is True)


def test_waffle_without_the_flag_says_no(waffle_flag) -> None:
    """C28: a flag that does not exist is off."""
    assert use_edx_submissions_for_xqueue(COURSE) is False


@pytest.mark.parametrize("scope", list(NAMES))
def test_our_overrides_come_before_waffle(waffle_flag, scope: str) -> None:
    """C28: one course can be switched back while the flag is on."""
    waffle_flag.objects.create(name=WAFFLE_FLAG, everyone=True)
    choose(scope, NAMES[scope], False)
    assert use_edx_submissions_for_xqueue(COURSE) is False


@pytest.mark.parametrize("is_enabled", [True, False])
def test_in_an_lms_the_platforms_flag_decides(monkeypatch, db, is_enabled):
    """C28: the platform's CourseWaffleFlag is asked, with the course, where it is importable."""
    looked_up = []

    class CourseWaffleFlag:
        def __init__(self, name, module_name):
            self.name = name

        def is_enabled(self, course_key=None):
            looked_up.append((self.name, course_key))
            return is_enabled

    platform = ModuleType("openedx.core.djangoapps.waffle_utils")
    platform.CourseWaffleFlag = CourseWaffleFlag
    names = ("openedx", "openedx.core", "openedx.core.djangoapps")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, platform.__name__, platform)
    waffle.course_flag.cache_clear()
    try:
        assert toggles.use_edx_submissions_for_xqueue(COURSE) is is_enabled
    finally:
        waffle.course_flag.cache_clear()
    assert looked_up == [("send_to_submission_course.enable", COURSE)]


@pytest.mark.django_db
@pytest.mark.parametrize(("url", "uses_table"), [("", False), ("", True), ("http://x", False)])
def test_check_names_an_override_without_its_server(settings, url: str, uses_table: bool) -> None:
    """C9, C28: the missing step of the installation is named before the first answer fails."""
    settings.XQUEUE_INTERFACE = {"url": url}
    choose("org", "DemoX", uses_table)
    found = [each for each in check_databases(databases=["default"]) if each.id.endswith("W009")]
    assert len(found) == (not url and not uses_table)
    for each in found:
        assert "DemoX" in each.msg
        assert "XQUEUE_INTERFACE" in each.hint
