"""The learner's status and pages in a browser: refresh, keyboard, languages, sizes and colours."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.demo.browsing import SOON, Grader, become, opened
from tests.demo.test_browser import RIGHT, ROOT, browser, environment, grader, url
from tests.demo.test_course_team_browser import check, look

__all__ = ["browser", "environment", "grader", "url"]
pytestmark = pytest.mark.browser

MINE = "/xqueue/my/"
#: Gives the first learner 10,000 graded answers, one with tests, and prints a grader's secret.
PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
import json
from datetime import timedelta
from django.utils import timezone
from demo.course import course
from demo.seed import seed
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
amara = seed(3)[0].pk
now, key = timezone.now(), course().by_url_name("wordcount").usage_key
long = key.context_key.make_usage_key("problem", "a_very_long_name_of_a_problem" * 5)
body = json.dumps({"student_response": "print('a long line ' * 3)\\n" * 3})
contents = [SubmissionContent(header="", body=body, points={"a_2_1": 3}) for _ in range(10_000)]
contents = SubmissionContent.objects.bulk_create(contents, 500)
Submission.objects.bulk_create([Submission(
    content=content, queue_name="demo", status="answered", user_id=amara,
    course_key=key.context_key, usage_key=long if n % 7 == 0 else key, dispatch="score_update",
    queue_key=f"key {n}", created_at=now - timedelta(minutes=10_000 - n), finished_at=now)
    for n, content in enumerate(contents)], 500)
tests = [{"name": "عبد الرحمن " * 9, "score": 1, "max_score": 1, "message": "x" * 300}] * 5
tests.append({**tests[0], "visible": False})
result = json.dumps({"correct": True, "score": 2, "msg": "<p>Feedback</p>", "tests": tests})
pk = grader_replies.store_reply(Submission.objects.latest("pk").pk, "put_result", result,
    reply=grader_replies.parse_reply(result))
ReceivedReply.objects.filter(pk=pk).update(status="applied", score_applied=2, answer_id="a_2_1",
    applied_at=now, next_attempt_at=None)
call_command("xqueue_bridge_grader", "create", "demo-grader", "--queue", "demo")
"""


@pytest.fixture(scope="module")
def secret(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", PREPARE]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "text": True, "timeout": 180}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, **options)
    return done.stdout.strip()


expect.set_options(timeout=SOON)


def submit(page: Page, answer: str) -> None:
    page.get_by_role("textbox").first.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(answer)
    page.keyboard.press("Control+Enter")


def test_status_changes_without_a_reload_and_is_announced(
    browser: Browser, url: str, grader: Grader
) -> None:
    with opened(browser, url) as page:
        become(page, "Bruno")
        page.goto("/problems/fizzbuzz/")
        status, live = page.locator(".xqueue-answers"), page.locator(".xqueue-live")
        expect(status).to_be_empty()
        submit(page, RIGHT)
        expect(status).to_contain_text("Next in the queue.")
        grader.pull()
        expect(status).to_contain_text("Being graded")
        expect(live).to_have_text("Being graded.")
        check(page, "status-grading")
        grader.put(1, "<p>Well done.</p>")
        expect(status).to_contain_text("2 of 2 points")
        expect(live).to_have_text("2 of 2 points.")
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.wait_for_timeout(4000)
        assert not [each for each in requests if "/my/status/" in each], (
            "a final status is requested"
        )
        page.reload()
        expect(status).to_contain_text("2 of 2 points")


def test_site_that_does_not_respond_is_requested_again(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        become(page, "Chandra")
        page.goto("/problems/fizzbuzz/")
        page.route("**/my/status/**", lambda route: route.fulfill(body="no JSON"))
        submit(page, RIGHT)
        expect(page.locator(".xqueue-visible")).to_contain_text("The site does not respond")
        page.unroute("**/my/status/**")
        expect(page.locator(".xqueue-answers")).to_contain_text("Waiting for a grader")
        expect(page.locator(".xqueue-visible")).to_have_count(0)


def test_status_without_javascript(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        become(page, "Chandra")
        page.goto("/problems/fizzbuzz/")
        submit(page, RIGHT)
        expect(page.locator(".xqueue-answers")).to_contain_text("Waiting for a grader")
        state = page.context.storage_state()
    with opened(browser, url, java_script_enabled=False, storage_state=state) as page:
        page.goto("/problems/fizzbuzz/")
        expect(page.locator(".xqueue-answers")).to_contain_text("in the queue.")
        page.get_by_role("link", name="Reload the page").click()
        expect(page.locator(".xqueue-answers")).to_contain_text("Waiting for a grader")


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 375)])
def test_pages_of_a_learner(browser: Browser, url: str, colours: Any, width: int) -> None:
    size = {"width": width, "height": 800}
    with opened(browser, url, color_scheme=colours, viewport=size) as page:
        become(page, "Amara")
        look(page, MINE, f"mine-{colours}")
        expect(page.get_by_role("row")).to_have_count(1 + 50)
        page.get_by_role("rowheader").first.get_by_role("link").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("table")).to_contain_text("Points")
        expect(page.get_by_text("Tests that are not shown: 1")).to_be_visible()
        check(page, f"my-submission-{colours}")
        page.go_back()
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_role("link", name="First page")).to_be_visible()
        page.get_by_label("Status").select_option("failed")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("No submission matches.")).to_be_visible()
        check(page, f"mine-none-{colours}")


def test_learner_without_answers(browser: Browser, url: str) -> None:
    with opened(browser, url, viewport={"width": 375, "height": 800}) as page:
        become(page, "Bruno")
        look(page, f"{MINE}?course=course-v1:a%2Bb%2Bc", "mine-empty")


@pytest.mark.parametrize("language", ["de", "ar"])
def test_other_languages_and_right_to_left(browser: Browser, url: str, language: str) -> None:
    size = {"width": 375, "height": 800}
    with opened(browser, url, viewport=size, locale=language) as page:
        become(page, "Amara")
        for path in (MINE, "/problems/fizzbuzz/"):
            page.goto(path)
            if language == "ar":
                # The demo's own pages are English.
                page.evaluate("document.documentElement.dir = 'rtl'")
            check(page, f"{language}-{path.strip('/').replace('/', '-')}")
        page.goto(MINE)
        if language == "de":
            expect(page.get_by_role("heading", name="Meine Einreichungen")).to_be_visible()
        page.get_by_role("rowheader").first.get_by_role("link").click()
        check(page, f"{language}-my-submission")
