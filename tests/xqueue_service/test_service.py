"""The service that a problem block is given."""

import subprocess
import sys

import pytest
from django.urls import re_path, reverse
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import UsageKey

from tests.doubles.problem_block import problem_block
from xqueue_bridge import XQueueInterface, XQueueService
from xqueue_bridge.lms.callback_url import read_url

PATH = (
    "courses/course-v1:DemoX+CS101+2026/xqueue/7/block-v1:DemoX+CS101+2026+type@problem+block@sums"
)


def usage(course: str, *, kind: str = "block-v1") -> UsageKey:
    return UsageKey.from_string(f"{kind}:{course}+type@problem+block@sums")


def test_service_has_what_blocks_use() -> None:
    """C1: interface, construct_callback, default_queuename, waittime."""
    service = XQueueService(problem_block())
    assert isinstance(service.interface, XQueueInterface)
    assert service.construct_callback().endswith("/score_update")
    assert service.default_queuename == "DemoX-CS101"
    assert service.waittime == 5


@pytest.mark.parametrize("interface", [None, {}, {"url": None}, "unset"])
def test_making_one_does_nothing(settings, interface) -> None:
    """C2: no query (this test has no database), no connection, no exception."""
    if interface == "unset":
        del settings.XQUEUE_INTERFACE
    else:
        settings.XQUEUE_INTERFACE = interface
    del settings.LMS_ROOT_URL
    service = XQueueService(object())
    assert isinstance(service.interface, XQueueInterface)


def test_import_before_the_apps_are_ready() -> None:
    """C1: host settings and blocks may import the two classes at any time."""
    code = (
        "from django.conf import settings; settings.configure();"
        "from xqueue_bridge import XQueueInterface, XQueueService; XQueueService(None).interface;"
        "from django.apps import apps; assert not apps.ready"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("key", "queue_name"),
    [
        (usage("A_B+C+2026"), "A_B-C"),
        (UsageKey.from_string("i4x://A_B/C/problem/sums"), "A_B-C"),
        (UsageKey.from_string("lb:DemoX:sums:problem:a"), "DemoX-sums"),
    ],
)
def test_default_queue(key: UsageKey, queue_name: str) -> None:
    """C3: organisation and course."""
    assert XQueueService(problem_block(key)).default_queuename == queue_name


def test_default_queue_has_no_spaces() -> None:
    """C3: keys that allow a space (they cannot be written, but upstream replaces it) lose it."""

    class Course:
        org, course = "A B", "C D"

    class Usage:
        context_key = Course

    assert XQueueService(problem_block(Usage)).default_queuename == "A_B-C_D"


def test_waittime_is_the_hosts(settings) -> None:
    """C4: the host's setting, as an int; by default the platform's 5 seconds."""
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = "30"
    assert XQueueService(problem_block()).waittime == 30
    del settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS
    assert XQueueService(problem_block()).waittime == 5


def test_callback_url() -> None:
    """C5: the LMS's URL, with the dispatch last."""
    service = XQueueService(problem_block())
    assert service.construct_callback() == f"http://lms.example.com/{PATH}/score_update"
    assert (
        service.construct_callback("ungraded_response")
        == f"http://lms.example.com/{PATH}/ungraded_response"
    )


@pytest.mark.parametrize(
    ("interface", "prefix"),
    [
        ({"callback_url": "https://inside.example.com"}, "https://inside.example.com"),
        ({"callback_url": "https://inside.example.com/"}, "https://inside.example.com"),
        ({"callback_url": ""}, "http://lms.example.com"),
        ({}, "http://lms.example.com"),
        (None, "http://lms.example.com"),
    ],
)
def test_callback_prefix(settings, interface, prefix: str) -> None:
    """C6: XQUEUE_INTERFACE["callback_url"], else LMS_ROOT_URL."""
    settings.XQUEUE_INTERFACE = interface
    assert XQueueService(problem_block()).construct_callback() == f"{prefix}/{PATH}/score_update"


@pytest.mark.parametrize("root", [None, "", "unset"])
def test_callback_prefix_of_a_host_without_an_address_is_empty(settings, root) -> None:
    """C6: the system check names the missing setting; making the URL does not fail."""
    if root == "unset":
        del settings.LMS_ROOT_URL
    else:
        settings.LMS_ROOT_URL = root
    assert XQueueService.callback_prefix() == ""


# The LMS's own pattern; keys as they are, with what a URL must quote.
urlpatterns = [
    re_path(
        r"^courses/(?P<course_id>[^/+]+(/|\+)[^/+]+(/|\+)[^/?]+)/xqueue/"
        r"(?P<userid>[^/]*)/(?P<mod_id>.*?)/(?P<dispatch>[^/]*)$",
        lambda request: None,
        name="xqueue_callback",
    )
]
words = st.text(st.characters(categories=["L", "N"], include_characters="-_.~"), min_size=1)


dispatches = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1)


@pytest.mark.urls(__name__)
@given(words, words, words, words, st.integers(1, 2**31), dispatches)
def test_callback_url_is_quoted_as_django_does(org, course, run, block, user_id, dispatch) -> None:
    """C5: the same URL as the LMS's reverse(), which parses to the same keys."""
    usage_key = UsageKey.from_string(f"block-v1:{org}+{course}+{run}+type@problem+block@{block}")
    service = XQueueService(problem_block(usage_key, user_id))
    kwargs = {
        "course_id": usage_key.context_key,
        "userid": user_id,
        "mod_id": usage_key,
        "dispatch": dispatch,
    }
    lms_url = "http://lms.example.com" + reverse("xqueue_callback", kwargs=kwargs)
    assert service.construct_callback(dispatch) == lms_url
    target = read_url(service.construct_callback())
    assert (target.user_id, target.usage_key) == (user_id, usage_key)
