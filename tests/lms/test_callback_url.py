"""Building and parsing of the LMS's callback URL."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.exceptions import InvalidHeader
from xqueue_bridge.lms.callback_url import build_path, read_dispatch, read_url

PATH = "course-v1:DemoX+CS101+2026/xqueue/7/block-v1:DemoX+CS101+2026+type@problem+block@sums"
URL = f"http://lms.example.com/courses/{PATH}/score_update"


@pytest.mark.parametrize("dispatch", list(Dispatch))
def test_dispatch_is_the_last_segment(dispatch: Dispatch) -> None:
    """C25: a trial run carries its own dispatch."""
    assert read_dispatch(f"http://lms.example.com/courses/{PATH}/{dispatch}") is dispatch


@pytest.mark.parametrize(
    "last", ["", "problem_reset", "score_update/", "score_update?a=b", "SCORE"]
)
def test_unknown_dispatch_is_refused(last: str) -> None:
    """C11: only the two dispatches are sent."""
    with pytest.raises(InvalidHeader, match="lms_callback_url"):
        read_dispatch(f"http://lms.example.com/courses/{PATH}/{last}")


@pytest.mark.parametrize(
    ("path", "course", "usage"),
    [
        (
            PATH,
            "course-v1:DemoX+CS101+2026",
            "block-v1:DemoX+CS101+2026+type@problem+block@sums",
        ),
        (
            "DemoX/CS101/2026/xqueue/7/i4x://DemoX/CS101/problem/sums",
            "DemoX/CS101/2026",
            "i4x://DemoX/CS101/problem/sums",
        ),
        (
            "lib:DemoX:sums/xqueue/7/lb:DemoX:sums:problem:a",
            "lib:DemoX:sums",
            "lb:DemoX:sums:problem:a",
        ),
        (
            "course-v1:D%C3%A9moX+CS101+2026/xqueue/7/"
            "block-v1:D%C3%A9moX+CS101+2026+type@problem+block@a",
            "course-v1:DémoX+CS101+2026",
            "block-v1:DémoX+CS101+2026+type@problem+block@a",
        ),
    ],
)
def test_target_is_read_from_the_url(path: str, course: str, usage: str) -> None:
    """C5: the LMS's callback URL says whose state at which block waits."""
    target = read_url(f"https://lms.example.com/prefix/courses/{path}/score_update")
    assert (target.user_id, target.dispatch) == (7, Dispatch.SCORE_UPDATE)
    assert (str(target.course_key), str(target.usage_key)) == (course, usage)
    assert target.usage_key.context_key == target.course_key


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://lms.example.com/",
        URL.replace("/7/", "/None/"),
        URL.replace("/7/", "/-7/"),
        URL.replace("/7/", "/\u0667/"),
        URL.replace("/7/", f"/{'9' * 30}/"),
        URL.replace("course-v1:DemoX+CS101+2026", "nonsense"),
        URL.replace("course-v1:DemoX+CS101+2026", "course-v1:DemoX+CS101+2025"),
        URL.replace("course-v1:DemoX+CS101+2026", "lib:DemoX:sums"),
        URL.replace("block-v1:", "%ff:"),
        URL.replace("block@sums", ""),
        URL.replace("score_update", "problem_reset"),
        "/courses/DemoX/CS101/2026/xqueue/7/i4x://OtherX/CS101/problem/sums/score_update",
    ],
)
def test_invalid_callback_url_is_an_error(url: str) -> None:
    """C11: the error about an invalid callback URL names the field."""
    with pytest.raises(InvalidHeader) as refusal:
        read_url(url)
    assert refusal.value.field == "lms_callback_url"


segments = st.sampled_from(
    [
        *[
            "/courses/",
            "/xqueue/",
            "7",
            "/",
            "course-v1:a+b+c",
            "a/b/c",
            "lib:a:b",
            "%",
            "%ff",
            "\x00",
            "score_update",
        ],
        *["block-v1:a+b+c+type@problem+block@d", "lb:a:b:problem:c", "i4x://a/b/problem/d"],
    ]
)


@given(st.lists(segments | st.text(), max_size=12).map("".join))
def test_any_url_is_a_target_or_refused(url: str) -> None:
    """C11: nothing else happens."""
    with suppress(InvalidHeader):
        assert isinstance(read_url(url), Target)


def test_keys_are_parsed() -> None:
    """C5: keys come back as keys."""
    target = read_url(URL)
    assert isinstance(target.course_key, LearningContextKey)
    assert isinstance(target.usage_key, UsageKey)


def test_what_is_made_can_be_read() -> None:
    """C5: a parsed URL has the keys that it was built from."""
    target = read_url(URL)
    path = build_path(target.course_key, target.user_id, target.usage_key, target.dispatch)
    assert read_url(path) == target
    assert URL.endswith(path)
