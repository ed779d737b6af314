"""The demo's pages in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.demo.browsing import CHROMIUM, FLAGS, SOON, Grader, become, opened, serious, write
from tests.demo.conftest import SAMPLES

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
RIGHT = SAMPLES["fizzbuzz"]["right"]["answers"][0]
#: Creates the demo's database with a grade in it, and prints a grader's secret.
PREPARE = """
import django; django.setup()
from django.core.management import call_command
from demo.course import course
from demo.seed import seed
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.course_grades import api as course_grades
call_command("migrate", verbosity=0)
amara = seed(2)[0].pk
key = course().by_url_name("primes").usage_key
learner_state.set_score(amara, course().key, key, 2, 3)
course_grades.recalculate_requested(amara, course().key)
call_command("xqueue_bridge_grader", "create", "demo-grader", "--queue", "demo")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Create a demo in an empty folder, with the demo's settings."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "demo.settings",
        "XQUEUE_BRIDGE_DEMO_VAR": str(tmp_path_factory.mktemp("var")),
        "PYTHONWARNINGS": "ignore",
    }


@pytest.fixture(scope="module")
def secret(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def url(environment: dict[str, str], secret: str) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "demo.server", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(timeout=10)
        server.stdout.close()


@pytest.fixture(scope="module")
def grader(url: str, secret: str) -> Grader:
    return Grader(url, secret)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Only until the end of this module: Django's ORM cannot run beside playwright's event loop.
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


def test_grade_appears_without_reload(page: Page, grader: Grader) -> None:
    """C114: the page shows the grade and the feedback without a reload."""
    become(page, "Amara")
    page.get_by_role("link", name="Fizz and buzz").click()
    page.evaluate("window.sameDocument = true")
    status = page.locator("#position")
    expect(status).to_contain_text("Not answered yet")

    write(page, "Your fizzbuzz function", RIGHT)
    page.get_by_role("button", name="Submit").click()
    expect(status).to_contain_text("Waiting for a grader", timeout=SOON)
    expect(status).to_contain_text("You are next in the queue.")

    assert grader.pull()["student_response"] == RIGHT
    expect(status).to_contain_text("Being graded", timeout=SOON)

    grader.put(1, "<p>Well <b>counted</b>.</p>")
    expect(status).to_contain_text("2 of 2 points", timeout=SOON)
    expect(page.locator(".external-grader-message b")).to_have_text("counted")
    expect(page.locator("#problem .status")).to_contain_text("correct")
    expect(page.get_by_role("textbox", name="Your fizzbuzz function")).to_contain_text("Buzz")

    attempt = page.locator("#attempts li")
    expect(attempt).to_have_count(1)
    expect(attempt.get_by_text("return said")).to_be_hidden()
    attempt.get_by_text("Attempt 1").click()
    expect(attempt.get_by_text("return said")).to_be_visible()
    assert page.evaluate("window.sameDocument"), "the page was loaded again"


def test_keyboard_alone_is_enough(page: Page, grader: Grader) -> None:
    become(page, "Bruno")
    page.goto("/problems/triangle/")
    editor = page.get_by_role("textbox", name="Your kind function")
    for _ in range(20):
        page.keyboard.press("Tab")
        if editor.evaluate("editor => editor === document.activeElement"):
            break
    expect(editor).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(SAMPLES["triangle"]["partial"]["answers"][0])
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Submit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#position")).to_contain_text("Waiting", timeout=SOON)
    grader.pull()
    grader.put(3, "<p>Three of four.</p>")
    expect(page.locator("#position")).to_contain_text("3 of 4 points", timeout=SOON)


def test_control_enter_submits_and_both_parts_are_graded(page: Page, grader: Grader) -> None:
    become(page, "Amara")
    page.goto("/problems/temperature/")
    for label, text in zip(
        ("Your to_fahrenheit function", "Your to_celsius function"),
        SAMPLES["temperature"]["partial"]["answers"],
        strict=True,
    ):
        write(page, label, text)
    page.keyboard.press("Control+Enter")
    positions = page.locator("#position .position")
    expect(positions.nth(1)).to_contain_text("You are 2nd in the queue.", timeout=SOON)
    for score in (1, 0):
        grader.pull()
        grader.put(score, f"<p>Part worth {score}.</p>")
    expect(positions.nth(0)).to_contain_text("1 of 1 point", timeout=SOON)
    expect(positions.nth(1)).to_contain_text("0 of 1 point", timeout=SOON)
    expect(page.locator(".external-grader-message")).to_have_text(
        ["Part worth 1.", "Part worth 0."]
    )


def test_files_are_submitted(page: Page, grader: Grader) -> None:
    become(page, "Amara")
    page.goto("/problems/wordcount/")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_have_text("Please choose wordcount.py first.")
    content = SAMPLES["wordcount"]["right"]["files"]["wordcount.py"].encode()
    chosen = {"name": "wordcount.py", "mimeType": "text/x-python", "buffer": content}
    page.get_by_label("Your file wordcount.py").set_input_files(files=[chosen])
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#position")).to_contain_text("Waiting", timeout=SOON)
    grader.pull()
    grader.put(2, "<p>Words counted.</p>")
    expect(page.locator("#position")).to_contain_text("2 of 2 points", timeout=SOON)
    expect(page.locator(".filesubmission .message")).to_have_text("Words counted.")


def test_rejected_answer_stays_in_the_editor(page: Page, grader: Grader) -> None:
    become(page, "Amara")
    page.goto("/problems/primes/")
    write(page, "Your primes_below function", "first = 1")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#position")).to_contain_text("Waiting", timeout=SOON)
    write(page, "Your primes_below function", "second = 2")
    page.route("**/problems/primes/", lambda route: route.fulfill(status=200, json=TOO_SOON))
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_have_text(TOO_SOON["message"])
    expect(page.get_by_role("textbox")).to_have_text("second = 2")
    grader.pull()
    grader.put(0, "<p>No.</p>")
    expect(page.locator("#position")).to_contain_text("0 of 3 points", timeout=SOON)


def test_page_shows_that_another_tab_has_changed_the_user(browser: Browser, url: str) -> None:
    """Another tab has logged the learner out, or another user in."""
    # Not `opened`: the console contains the rejected request.
    window = browser.new_context(base_url=url)
    page, other = window.new_page(), window.new_page()
    become(page, "Amara")
    page.goto("/problems/fizzbuzz/")
    other.goto("/")
    other.get_by_role("button", name="Choose another user").click()
    other.wait_for_url("**/choose/")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("logged in another user", timeout=SOON)
    other.get_by_role("button", name="Bruno").click()
    other.wait_for_url(f"{url}/")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("logged in another user", timeout=SOON)
    window.close()


TOO_SOON = {"ok": False, "message": "You must wait at least 1 seconds between submissions."}


def test_operator_sees_the_queue_move(
    page: Page, browser: Browser, url: str, grader: Grader
) -> None:
    become(page, "Operator")
    page.wait_for_url("**/xqueue/queues/")
    queue = page.get_by_role("row", name="demo")
    waiting, in_grading = queue.get_by_role("cell").nth(0), queue.get_by_role("cell").nth(2)
    with opened(browser, url) as learner:
        become(learner, "Bruno")
        learner.goto("/problems/primes/")
        learner.get_by_role("button", name="Submit").click()
        expect(learner.locator("#position")).to_contain_text("Waiting", timeout=SOON)
    expect(waiting).to_have_text("1", timeout=SOON)
    grader.pull()
    expect(in_grading).to_have_text("1", timeout=SOON)
    grader.put(0, "<p>Nothing there yet.</p>")
    expect(in_grading).to_have_text("0", timeout=SOON)


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 360)])
def test_pages_have_no_serious_accessibility_violations(
    browser: Browser, url: str, grader: Grader, colours: Any, width: int
) -> None:
    size = {"width": width, "height": 800}
    with opened(browser, url, color_scheme=colours, viewport=size) as page:
        page.goto("/choose/")
        assert serious(page) == []
        become(page, "Amara")
        assert serious(page) == []
        for url_name in SAMPLES:
            page.goto(f"/problems/{url_name}/")
            for attempt in page.locator("#attempts summary").all():
                attempt.click()
            assert serious(page) == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        become(page, "Operator")
        page.wait_for_url("**/xqueue/queues/")
        assert serious(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 360)])
def test_grade_pages_have_no_serious_accessibility_violations(
    browser: Browser, url: str, grader: Grader, colours: Any, width: int
) -> None:
    size = {"width": width, "height": 800}
    with opened(browser, url, color_scheme=colours, viewport=size) as page:
        become(page, "Amara")
        page.get_by_role("link", name="Progress").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your progress")
        expect(page.get_by_role("img", name="Percents of the assignments")).to_be_visible()
        assert_accessible(page)
        become(page, "Operator")
        page.get_by_role("link", name="Back to the site").click()
        page.get_by_role("link", name="Gradebook").click()
        page.wait_for_url("**/gradebook/")
        page.get_by_role("link", name="Total").click()
        expect(page.get_by_role("columnheader", name="Total")).to_have_attribute(
            "aria-sort", "descending"
        )
        assert_accessible(page)
        page.get_by_role("link", name="Warm-up, Amara Okafor").click()
        page.get_by_label("Points").fill("5")
        page.get_by_label("Reason").first.fill("Explained at the blackboard.")
        page.get_by_role("button", name="Override").click()
        expect(page.get_by_role("row", name="blackboard").first).to_contain_text("set to 5")
        assert_accessible(page)


def assert_accessible(page: Page) -> None:
    assert serious(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_without_scripts_the_problem_can_still_be_answered(
    browser: Browser, url: str, grader: Grader
) -> None:
    with opened(browser, url, java_script_enabled=False) as page:
        become(page, "Bruno")
        page.goto("/problems/fizzbuzz/")
        page.locator("textarea").fill(RIGHT)
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("#position")).to_contain_text("Waiting for a grader")
        assert grader.pull()["student_response"] == RIGHT
        grader.put(1, "<p>Right.</p>")
        page.reload()
        expect(page.locator("#position")).to_contain_text("2 of 2 points")
