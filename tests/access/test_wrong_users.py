"""No URL gives a wrong user anything of a learner's, or changes anything for one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver, resolve

from tests.access import world as users
from tests.access.urls import For, Url, routes, urls_of
from tests.access.world import BACKENDS, MARK, WRONG_EVERYWHERE, World, make_world
from tests.gateway.asgi import Request, eventually, with_gateway
from xqueue_bridge.gateway.application import Gateway
from xqueue_bridge.models import RevokedSession

pytestmark = pytest.mark.django_db(transaction=True)

#: Wrong at the pages of operators and of the host's staff, and right elsewhere.
NO_STAFF = (users.the_learner, users.course_team)
RIGHT = {
    For.LEARNERS: users.the_learner,
    For.LEARNER: users.the_learner,
    For.LEARNER_OR_STAFF: users.staff,
    For.TEAM: users.course_team,
    For.STAFF: users.staff,
    For.OPERATOR: users.operator,
    For.GRADER: users.the_grader,
}


@pytest.fixture(autouse=True)
def _settings(settings) -> None:
    settings.AUTHENTICATION_BACKENDS = BACKENDS
    settings.XQUEUE_BRIDGE = {
        "GATEWAY": {"LEARNER_EVENTS": True},
        "METRICS_TOKEN": "metrics-token",
        "CALLBACK_PREFIXES": ("http://lms.example.com/courses/",),
    }


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def text_of(response: Any) -> str:
    return (b"".join(response) if response.streaming else response.content).decode()


def is_refused(status: int, text: str, location: str = "") -> bool:
    """Return whether a response is a refusal, also in the envelope of the protocol."""
    if status == 302:
        return not text and "/login/" in location
    if status == 200:
        return text.startswith('{"return_code": 1')
    return status in (401, 403, 404, 405)


def responses(http: Client, urls: Iterable[Url]) -> Iterable[tuple[Url, str, int, str, str]]:
    """Request each URL with GET and POST; yield URL, method, status, text and location."""
    for url in urls:
        for method, send in (("GET", http.get), ("POST", http.post)):
            data = url.form if method == "POST" else None
            response = send(url.path, data)
            location = response.headers.get("Location", "")
            yield url, method, response.status_code, text_of(response), location


def faults(http: Client, urls: list[Url], open_to_user: set[For]) -> list[str]:
    """Return each response that has something of the learner, or is none of its refusals."""
    found = []
    for url, method, status, text, location in responses(http, urls):
        what = f"{method} {url.path}: {status}"
        if MARK in text:
            found.append(f"{what} with the learner's")
        if url.audience not in open_to_user and not is_refused(status, text, location):
            found.append(f"{what} is no refusal: {text[:100]}")
        if status >= 500:
            found.append(what)
    return found


def test_each_url_is_in_the_matrix(world: World) -> None:
    """A URL that is not listed would be tested with no user."""
    paths = [each.path.partition("?")[0] for each in urls_of(world)]
    listed = {resolve(path).route.removeprefix("^") for path in paths}
    ours = routes(get_resolver("xqueue_bridge.urls").url_patterns)
    assert ours - listed == set()


@pytest.mark.parametrize("audience", RIGHT)
def test_right_user_is_let_in(world: World, audience: For) -> None:
    """Else a refusal of all others would prove nothing."""
    http = RIGHT[audience](world)
    # The own lists have no name; the operators' forms have none either.
    proof = {For.LEARNERS: "1 of 1 points", For.OPERATOR: "python"}.get(audience, MARK)
    urls = [each for each in urls_of(world) if each.audience == audience]
    found = [(each.path, http.get(each.path)) for each in urls if "/lo" not in each.path]
    texts = "".join(text_of(response) for _, response in found)
    # Not healthy, because no sweeper runs.
    wrong = {path: each.status_code for path, each in found if each.status_code not in (200, 503)}
    assert wrong == {}
    assert proof in texts


@pytest.mark.parametrize("user", WRONG_EVERYWHERE)
def test_wrong_user_gets_and_changes_nothing(world: World, user: Callable[[World], Client]) -> None:
    """Learners see their own objects only; all other URLs refuse the user."""
    http, before = user(world), world.kept()
    is_active_user = user in WRONG_EVERYWHERE[1:4]
    open_to_user = {For.ALL, For.LEARNERS} if is_active_user else {For.ALL}
    assert faults(http, urls_of(world), open_to_user) == []
    assert world.kept() == before


@pytest.mark.parametrize("user", NO_STAFF)
def test_learners_and_course_teams_are_no_operators(
    world: World, user: Callable[[World], Client]
) -> None:
    http, before = user(world), world.kept()
    audiences = {For.STAFF, For.OPERATOR}
    if user is users.course_team:
        audiences.add(For.LEARNER_OR_STAFF)
    urls = [each for each in urls_of(world) if each.audience in audiences]
    assert faults(http, urls, set()) == []
    assert world.kept() == before


def test_staff_without_the_permission_are_no_operators(world: World) -> None:
    http, before = users.staff(world), world.kept()
    urls = [each for each in urls_of(world) if each.audience == For.OPERATOR]
    assert faults(http, urls, set()) == []
    assert world.kept() == before


def test_learner_and_grader_are_no_course_team(world: World) -> None:
    """The learner's own object is no reason, nor is a grant for the queue."""
    before = world.kept()
    urls = [each for each in urls_of(world) if each.audience == For.TEAM]
    for http in (users.the_learner(world), users.the_grader(world)):
        for url, _method, status, text, location in responses(http, urls):
            assert is_refused(status, text, location), url.path
            assert MARK not in text
    assert world.kept() == before


# -- the gateway


def cookies_of(http: Client) -> str:
    return "; ".join(f"{name}={morsel.value}" for name, morsel in http.cookies.items())


@pytest.mark.parametrize("user", [users.the_learner, *WRONG_EVERYWHERE])
def test_stream_of_the_gateway(world: World, user: Callable[[World], Client]) -> None:
    """A stream has the status of the session's user only."""
    cookie = cookies_of(user(world))
    is_active = user in (*WRONG_EVERYWHERE[1:4], users.the_learner)
    path = f"/xqueue/my/status/{users.PROBLEM}/"

    async def scenario(gateway: Gateway) -> None:
        request = Request(gateway, path, accept="text/event-stream", cookie=cookie)
        if user is users.other_learner:
            # Bob's own answer waits, so the stream stays open.
            await eventually(lambda: bool(request.body))
            request.disconnect()
        response = await request.response()
        assert (response.status == 200) == is_active
        text = response.body.decode()
        assert MARK not in text
        assert ("1 of 1 points" in text) == (user is users.the_learner)
        if user in (users.learner_of_another_course, users.staff_of_another_course):
            assert json.loads(text.partition("data: ")[2])["answers"] == []

    with_gateway(scenario, LEARNER_EVENTS=True)


@pytest.mark.parametrize("user", [users.operator, *WRONG_EVERYWHERE])
def test_gateway_serves_no_page_and_no_wrong_user(
    world: World, user: Callable[[World], Client]
) -> None:
    cookie, before = cookies_of(user(world)), world.kept()

    async def scenario(gateway: Gateway) -> None:
        for url in urls_of(world):
            path, _, query = url.path.partition("?")
            pairs = dict(each.split("=") for each in query.split("&")) if query else {}
            response = await Request(gateway, path, pairs, cookie=cookie).response()
            text = response.body.decode()
            assert MARK not in text, path
            if url.audience != For.ALL:
                location = response.headers.get("location", "")
                assert is_refused(response.status, text, location), path

    with_gateway(scenario, LEARNER_EVENTS=True)
    assert world.kept() == before


def test_session_of_a_grader_that_was_ended(world: World) -> None:
    """The cookie of a session that was revoked opens nothing."""
    old = Client()
    old.cookies = world.grader.http.cookies.copy()
    world.grader.http.post("/xqueue/logout/")
    assert RevokedSession.objects.exists()
    urls = [each for each in urls_of(world) if each.audience == For.GRADER]
    assert faults(old, urls, set()) == []


def test_user_whose_account_was_deleted(world: World) -> None:
    http = users.operator(world)
    User.objects.filter(username="operator").delete()
    urls = [each for each in urls_of(world) if each.audience != For.ALL]
    assert faults(http, urls, set()) == []
