"""The course team's pages in a browser: long names, many rows, no data, both sizes and colours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.demo.browsing import become, opened, serious
from tests.demo.test_browser import ROOT, browser, environment, url

__all__ = ["browser", "environment", "url"]
pytestmark = pytest.mark.browser

TEAM = "/xqueue/courses/course-v1:DemoX+CS101+2026"
EMPTY = "/xqueue/courses/course-v1:DemoX+EMPTY+2026"
#: Creates graded answers of learners with long and right-to-left names, and a regrade under way.
PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.conf import settings
settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "REJECT_UNKNOWN_QUEUES": False}
from django.contrib.auth.models import User
from demo.seed import seed
from tests.regrading.factories import grade, graded, start, submit
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.models import Regrade
from xqueue_bridge.submission_queue import queue
seed(2)
names = ["Wolfeschlegelsteinhausenbergerdorff" * 2, "عبد الرحمن بن محمد", "Ada"]
for n in range(60):
    user_id, _ = graded(f"learner{n}", n % 2)
    first, last = names[n % 3], "of the very long family name " * (n % 2)
    User.objects.filter(pk=user_id).update(first_name=first, last_name=last[:150])
submit(user_id)
start(author_id=User.objects.get(username="operator").pk)
Regrade.objects.update(released_until="2020-01-01T00:00Z")
regrading.release_due()
for score in (1, 0, 1):
    grade(queue.pull("python", None).submission_id, score, "Graded again.")
from datetime import timedelta
from django.utils import timezone
from tests.stuck_answers.factories import dead_reply, lost, no_reply
from xqueue_bridge.models import StudentModule
for n in range(4):
    for make in (lost, no_reply, dead_reply):
        user_id = make(f"stuck {make.__name__} {n}")
        User.objects.filter(pk=user_id).update(first_name=names[n % 3])
StudentModule.objects.update(modified=timezone.now() - timedelta(hours=2))
call_command("xqueue_bridge_grader", "create", "demo-grader", "--queue", "demo")
"""


@pytest.fixture(scope="module")
def secret(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", PREPARE]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "text": True, "timeout": 180}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, **options)
    return done.stdout.strip()


def look(page: Page, path: str, name: str) -> None:
    """Open a page, check it, and keep a picture in XQUEUE_BRIDGE_PICTURES if that is set."""
    page.goto(path)
    check(page, name)


def check(page: Page, name: str) -> None:
    assert serious(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), name
    if folder := os.environ.get("XQUEUE_BRIDGE_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 360)])
def test_pages_of_a_course_team(browser: Browser, url: str, colours: Any, width: int) -> None:
    size = {"width": width, "height": 800}
    with opened(browser, url, color_scheme=colours, viewport=size) as page:
        become(page, "Operator")
        page.wait_for_url("**/xqueue/queues/")
        look(page, f"{TEAM}/submissions/", f"submissions-{colours}")
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_role("row")).to_have_count(1 + 43)
        page.get_by_role("rowheader").first.get_by_role("link").click()
        page.get_by_text("Feedback").first.click()
        check(page, f"submission-{colours}")
        look(page, f"{TEAM}/regrades/", f"regrades-{colours}")
        page.get_by_role("rowheader").first.get_by_role("link").click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        check(page, f"regrade-{colours}")
        look(page, f"{TEAM}/problems/", f"problems-{colours}")
        page.get_by_role("rowheader").first.get_by_role("link").click()
        expect(page.get_by_role("img", name="Number of submissions")).to_be_visible()
        check(page, f"problem-{colours}")
        look(page, f"{TEAM}/stuck/", f"stuck-{colours}")
        for kind in ("submissions", "regrades", "problems", "stuck"):
            look(page, f"{EMPTY}/{kind}/", f"no-{kind}-{colours}")


def test_regrade_is_previewed_and_started_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        become(page, "Operator")
        page.wait_for_url("**/xqueue/queues/")
        page.goto(f"{TEAM}/submissions/?status=answered")
        page.get_by_role("rowheader").last.get_by_role("link").click()
        page.get_by_role("link", name="Regrade this submission").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("What", exact=True)).to_have_value("submission")
        page.get_by_role("button", name="Preview").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Preview")).to_be_visible()
        check(page, "preview")
        expect(page.get_by_role("status")).to_contain_text("another regrade has them: 1")


def test_chosen_stuck_answers_are_repaired_by_keyboard(browser: Browser, url: str) -> None:
    """Last, because the other tests look at the table with all of them."""
    with opened(browser, url, viewport={"width": 360, "height": 800}) as page:
        become(page, "Operator")
        page.wait_for_url("**/xqueue/queues/")
        page.goto(f"{TEAM}/stuck/")
        expect(page.get_by_role("row")).to_have_count(1 + 12)
        for box in page.get_by_role("checkbox").all()[3:]:
            box.focus()
            page.keyboard.press("Space")
        page.get_by_role("button", name="Repair the chosen ones").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Stuck answers")).to_be_visible()
        expect(page.get_by_role("row")).to_have_count(1 + 3)
        expect(page.get_by_role("table")).to_contain_text("The learner was told")
        check(page, "stuck-repaired")
        page.get_by_role("link", name="Search again").click()
        expect(page.get_by_role("row")).to_have_count(1 + 9)


@pytest.mark.parametrize("path", ["submissions/", "regrades/", "regrades/new/"])
def test_page_reads_from_right_to_left(browser: Browser, url: str, path: str) -> None:
    with opened(browser, url, viewport={"width": 720, "height": 800}) as page:
        become(page, "Operator")
        page.wait_for_url("**/xqueue/queues/")
        page.goto(f"{TEAM}/{path}")
        page.evaluate("document.documentElement.dir = 'rtl'")
        check(page, f"rtl-{path.strip('/').replace('/', '-')}")
