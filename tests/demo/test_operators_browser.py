"""The operators' pages in a browser: every action by keyboard, and each page at both widths."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.demo.browsing import become, opened
from tests.demo.test_browser import ROOT, browser, environment, url
from tests.demo.test_course_team_browser import check, look

__all__ = ["browser", "environment", "url"]
pytestmark = pytest.mark.browser

BASE = "/xqueue/queues"
#: Path -> a text that the page has, so that an empty or broken page does not pass.
PAGES = {
    f"{BASE}/": "pyton",
    f"{BASE}/?queue=nothing": "No queue matches.",
    f"{BASE}/history/?queue=pyton": "Set the priority",
    f"{BASE}/history/?queue=demo&with_failures=on": "The numbers as a table",
    f"{BASE}/act/?action=end&queue=pyton": "3 submissions",
    f"{BASE}/act/?action=move&queue=pyton": "Other queue",
    f"{BASE}/act/?action=pause&queue=demo": "Graders find the queue empty",
    f"{BASE}/act/?action=unknown": "Unknown action",
    f"{BASE}/priority/?queue=pyton": "Priority",
    f"{BASE}/priority/?queue=pyton&level=2": "120 minutes earlier",
    f"{BASE}/priority/?level=2": "Name a course.",
    f"{BASE}/actions/": "end the grading",
    f"{BASE}/actions/?since=x": "Enter a valid date.",
    f"{BASE}/work/": "ConnectionError",
    f"{BASE}/work/?kind=gradeoutbox": "There is no such work.",
    f"{BASE}/alerts/": "There was no trouble yet.",
    f"{BASE}/priorities/": "No priority is set.",
    f"{BASE}/graders/": "Wolfeschlegelsteinhausenbergerdorff",
    f"{BASE}/graders/codes/": "score_missing",
    f"{BASE}/graders/1/revoke/": "Notice in minutes",
}
#: Creates a mistyped queue with submissions, an answer whose grading was ended, a dead reply, a
#: grader with a long name and codes, and samples; prints nothing.
PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from datetime import timedelta
from django.conf import settings
from django.utils import timezone
settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "REJECT_UNKNOWN_QUEUES": False}
from demo import week
from demo.seed import seed
from tests.grader_replies.factories import make_reply, make_submission
from tests.submission_queue.factories import new_submission
from xqueue_bridge.models import Grader, QueueSample, ReplyCodeCount
from xqueue_bridge.operations import api as operations
from xqueue_bridge.submission_queue import api as submission_queue
learners = seed(4)
submission_queue.create_grader("Wolfeschlegelsteinhausenbergerdorff" * 3, ["demo"])
ReplyCodeCount.objects.create(grader=Grader.objects.get(), code="score_missing", count=42)
for learner in learners[:3]:
    submission_queue.enqueue(new_submission("pyton", user_id=learner.pk, queue_key=str(learner.pk)))
ended = week.submit(learners[0], "triangle", "partial")
operations.begin(operations.Order("end", "demo", (ended.pk,)))
submission = make_submission(learners[3].pk)
now = timezone.now()
for minutes in (600, 300, 0):
    QueueSample.objects.create(
        queue_name="demo", minute=now - timedelta(minutes=minutes), received_total=600 - minutes,
        failed_total=2 - minutes // 300, waiting=minutes, leased=0, pending_replies=0, graders=1,
        paused_graders=0)
make_reply(submission, status="dead", next_attempt_at=None, last_error="ConnectionError")
"""


@pytest.fixture(scope="module")
def secret(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", PREPARE]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "text": True, "timeout": 180}
    subprocess.run(command, stdout=subprocess.PIPE, check=True, **options)
    return ""


def operator(page: Page) -> None:
    become(page, "Operator")
    page.wait_for_url(f"**{BASE}/")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_each_page_is_accessible_and_fits(
    browser: Browser, url: str, colours: Any, width: int
) -> None:
    size = {"width": width, "height": 800}
    broken = []
    # Some of the pages respond with 422, which the console has as an error.
    window = browser.new_context(base_url=url, color_scheme=colours, viewport=size)
    page = window.new_page()
    operator(page)
    for number, (path, text) in enumerate(PAGES.items()):
        try:
            look(page, path, f"operators-{number:02}-{width}-{colours}")
            expect(page.locator("main")).to_contain_text(text)
        except AssertionError as exc:
            broken.append(f"{path}: {exc}")
    window.close()
    assert broken == []


def press(page: Page, role: Any, name: str) -> None:
    """Reach an element with Tab, from the beginning of the page, and press Enter."""
    target = page.get_by_role(role, name=name, exact=True).first
    expect(target).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            page.wait_for_load_state()
            return
    raise AssertionError(f"{name} is not reached with Tab")


def newest(page: Page) -> Any:
    """Return the newest action that the page of a queue shows."""
    return page.get_by_role("region", name="What operators did").get_by_role("row").nth(1)


def test_queue_is_paused_and_resumed_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        operator(page)
        page.goto(f"{BASE}/history/?queue=demo")
        press(page, "link", "Pause the queue")
        press(page, "button", "Pause the queue")
        expect(page.locator("main")).to_contain_text("The queue has been paused since")
        expect(newest(page)).to_contain_text("pause the queue")
        check(page, "operators-paused")
        page.goto(f"{BASE}/")
        expect(page.get_by_role("row", name="demo")).to_contain_text("paused")
        press(page, "link", "demo")
        press(page, "link", "Resume the queue")
        press(page, "button", "Resume the queue")
        expect(page.locator("main")).not_to_contain_text("has been paused since")
        expect(newest(page)).to_contain_text("resume the queue")


def test_priority_is_set_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        operator(page)
        page.goto(f"{BASE}/history/?queue=pyton")
        press(page, "link", "Set the priority")
        page.get_by_label("Priority").focus()
        page.keyboard.press("ArrowUp")
        press(page, "button", "Preview")
        expect(page.locator("main")).to_contain_text("They are due 60 minutes earlier.")
        press(page, "button", "Set the priority")
        expect(newest(page)).to_contain_text("set the priority")
        expect(newest(page)).to_contain_text("high")


def test_failed_submission_is_requeued_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        operator(page)
        page.goto(f"{BASE}/history/?queue=demo")
        press(page, "link", "Requeue failed submissions")
        expect(page.locator("main")).to_contain_text("1 submission")
        press(page, "button", "Requeue failed submissions")
        expect(newest(page)).to_contain_text("requeue failed submissions")
        expect(newest(page).get_by_role("cell").last).to_have_text("1")


def test_dead_reply_is_retried_from_its_table_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        operator(page)
        press(page, "link", "Work")
        press(page, "link", "Retry reply 2")
        press(page, "button", "Retry to apply replies")
        press(page, "link", "Actions")
        row = page.get_by_role("row").nth(1)
        expect(row).to_contain_text("retry to apply replies")
        press(page, "link", "When")
        expect(page.get_by_role("columnheader", name="When")).to_have_attribute(
            "aria-sort", "ascending"
        )


def test_mistyped_queue_is_moved_by_keyboard(browser: Browser, url: str) -> None:
    """Last, because the other tests look at the queue with its submissions."""
    with opened(browser, url, viewport={"width": 375, "height": 800}) as page:
        operator(page)
        press(page, "link", "pyton")
        press(page, "link", "Move to another queue")
        page.get_by_label("Other queue").focus()
        page.keyboard.insert_text("demo")
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_contain_text("3 submissions")
        expect(page.locator("main")).to_contain_text("1 grader may use the other queue.")
        check(page, "operators-move")
        press(page, "button", "Move to another queue")
        expect(newest(page)).to_contain_text("demo")
        expect(newest(page).get_by_role("cell").last).to_have_text("3")
        press(page, "link", "Queues")
        expect(page.get_by_role("row", name="pyton")).to_have_count(0)
