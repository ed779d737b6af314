"""Open every page for people in a browser, check it, and write the pictures of the documentation.

``make screenshots`` runs it. It starts the demo with its week of history in a folder of its own,
opens each page at 1280 and at 375 pixels, light and dark, and fails if a page responds with an
error, has an error in its console, is wider than the window, or has a serious accessibility
violation. Then it checks the same pages with 10,000 submissions and long names, from right to
left, and of a course without data, and every status of an answer (``tools/statuses``). Needs
chromium, and the extra ``browser``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.demo.browsing import CHROMIUM, FLAGS, become, opened, serious
from tools.demo_site import ROOT, new_site, width_fault
from tools.statuses import pictures

FOLDER = ROOT / "docs" / "screenshots"
MAX_BYTES = 150_000
COURSE = "course-v1:DemoX+GRADE101+2026"
TEAM, GRADES = f"/xqueue/courses/{COURSE}", f"/xqueue/grades/{COURSE}"
PRIMES = "block-v1:DemoX+GRADE101+2026+type@problem+block@fizzbuzz"
LEARNER, STAFF, OPERATOR = "Amara", "Tessa", "Operator"
#: Name -> who opens it, and its path. {submission} has replies and a regrade, {mine} is Amara's.
PAGES = {
    "first-page": ("", "/choose/"),
    "problems-of-the-course": (LEARNER, "/"),
    "problem": (LEARNER, "/problems/fizzbuzz/"),
    "progress": (LEARNER, f"{GRADES}/progress/"),
    "my-submissions": (LEARNER, "/xqueue/my/"),
    "my-submission": (LEARNER, "/xqueue/my/{mine}/"),
    "submissions": (STAFF, f"{TEAM}/submissions/"),
    "submission": (STAFF, f"{TEAM}/submissions/{{submission}}/"),
    "problems": (STAFF, f"{TEAM}/problems/"),
    "problem-statistics": (STAFF, f"{TEAM}/problems/{PRIMES}/"),
    "regrades": (STAFF, f"{TEAM}/regrades/"),
    "regrade": (STAFF, f"{TEAM}/regrades/1/"),
    "new-regrade": (STAFF, f"{TEAM}/regrades/new/"),
    "stuck-answers": (STAFF, f"{TEAM}/stuck/"),
    "queues": (OPERATOR, "/xqueue/queues/"),
    "queue-history": (OPERATOR, "/xqueue/queues/history/?queue=slow"),
    "queue-action": (OPERATOR, "/xqueue/queues/act/?action=end&queue=slow"),
    "pause-a-queue": (OPERATOR, "/xqueue/queues/act/?action=pause&queue=slow"),
    "set-a-priority": (OPERATOR, "/xqueue/queues/priority/?queue=slow&level=1"),
    "graders": (OPERATOR, "/xqueue/queues/graders/"),
    "reply-codes": (OPERATOR, "/xqueue/queues/graders/codes/"),
    "work": (OPERATOR, "/xqueue/queues/work/?state=waiting"),
    "alerts": (OPERATOR, "/xqueue/queues/alerts/"),
    "priorities": (OPERATOR, "/xqueue/queues/priorities/"),
    "operator-actions": (OPERATOR, "/xqueue/queues/actions/"),
    "revoke-a-grader": (OPERATOR, "/xqueue/queues/graders/1/revoke/"),
    "gradebook": (OPERATOR, f"{GRADES}/gradebook/"),
}
#: The pictures of the documentation: name, width, colours.
PICTURES = {
    ("first-page", 1280, "light"),
    ("submissions", 1280, "light"),
    ("submission", 1280, "light"),
    ("problem-statistics", 1280, "light"),
    ("regrade", 1280, "light"),
    ("stuck-answers", 1280, "light"),
    ("queues", 1280, "light"),
    ("queue-history", 1280, "dark"),
    ("queue-action", 1280, "light"),
    ("operator-actions", 1280, "light"),
    ("gradebook", 1280, "light"),
    ("problem", 375, "light"),
    ("my-submissions", 375, "light"),
    ("submissions", 375, "dark"),
}
#: Creates the demo's database with its week, and prints the ids of a submission and of Amara's.
PREPARE = """
import django; django.setup()
from django.core.management import call_command
from django.utils import timezone
from demo import week
from demo.seed import seed
from xqueue_bridge.models import GradeRecalculation, Submission
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.tasks import sweep
call_command("migrate", verbosity=0)
mine = week.submit(seed(4)[0], "triangle", "partial")
submission_queue.create_grader("demo-grader", ["demo"])
week.seed_week("demo-grader", "demo")
GradeRecalculation.objects.update(next_attempt_at=timezone.now())
sweep()
print(Submission.objects.get(regrade_of__isnull=False).regrade_of, mine.pk)
"""
#: Adds long names and names from right to left, and submissions until there are 10,000.
CROWD = """
import django; django.setup()
from django.contrib.auth.models import User
from django.db.models import Value
from django.db.models.functions import Concat
from demo import users
from xqueue_bridge.models import Submission, SubmissionContent
people = User.objects.filter(username__startswith=users.CLASSMATE)
ids = list(people.values_list("pk", flat=True))
names = ["Wolfeschlegelsteinhausenbergerdorff" * 4, "عبد الرحمن بن محمد", "Ada"]
for number, pk in enumerate(ids):
    User.objects.filter(pk=pk).update(first_name=names[number % 3][:150])
one = Submission.objects.filter(status="answered").first()
SubmissionContent.objects.bulk_create(
    [SubmissionContent(header="{}", body="{}") for _ in range(10_000)], batch_size=1000)
contents = SubmissionContent.objects.filter(submission=None).values_list("pk", flat=True)
Submission.objects.bulk_create([
    Submission(content_id=pk, queue_name="q" * 128, status="answered", user_id=ids[n % len(ids)],
               course_key=one.course_key, usage_key=one.usage_key, dispatch=one.dispatch,
               queue_key=f"crowd-{n}", created_at=one.created_at, finished_at=one.finished_at)
    for n, pk in enumerate(contents)], batch_size=1000)
from tools import crowd
crowd.add_rows(one, ids, names)
"""


def main(folder: Path = FOLDER) -> int:
    """Check every page, and write the pictures into a folder; return 0 if no page is broken."""
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        broken = _check_pages(browser, folder)
        with tempfile.TemporaryDirectory(prefix="statuses-") as looked_at:
            broken += pictures.check(browser, Path(looked_at))
        browser.close()
    broken += [
        f"{path.name} has more than {MAX_BYTES} bytes"
        for path in folder.glob("*.png")
        if path.stat().st_size > MAX_BYTES
    ]
    print("\n".join(broken) or f"{len(PAGES)} pages, {len(PICTURES)} pictures in {folder}")
    return 1 if broken else 0


def _check_pages(browser: Browser, folder: Path) -> list[str]:
    with new_site() as site:
        ids = dict(zip(("submission", "mine"), site.run(PREPARE).split(), strict=True))
        with site.serve() as url:
            broken = _check_all(browser, url, ids, folder)
            site.run(CROWD)
            return broken + _check_crowd(browser, url, ids)


def _check_all(browser: Browser, url: str, ids: dict[str, str], folder: Path) -> list[str]:
    broken = []
    for width, colours in ((1280, "light"), (375, "dark"), (375, "light"), (1280, "dark")):
        for person in ("", LEARNER, STAFF, OPERATOR):
            try:
                with _window(browser, url, person, width, colours) as page:
                    for name, path in _pages_of(person, ids):
                        broken += _faults(page, path, f"{name} {width} {colours}")
                        if (name, width, colours) in PICTURES:
                            file = folder / f"{name}-{width}-{colours}.png"
                            page.screenshot(path=str(file))
            except AssertionError as exc:
                broken.append(f"pages of {person or 'visitors'} {width} {colours}: {exc}")
    return broken


def _check_crowd(browser: Browser, url: str, ids: dict[str, str]) -> list[str]:
    """Check the pages of course teams and operators with many rows, right to left, without data."""
    broken = []
    with _window(browser, url, OPERATOR, 375, "light") as page:
        for name, path in [*_pages_of(STAFF, ids), *_pages_of(OPERATOR, ids)]:
            broken += _faults(page, path, f"{name} with 10,000 rows")
            page.evaluate("document.documentElement.dir = 'rtl'")
            broken += width_fault(page, f"{name} from right to left")
            empty = path.replace(COURSE, "course-v1:DemoX+EMPTY+2026")
            if path.startswith(TEAM) and not path.rstrip("/").rsplit("/", 1)[-1].isdigit():
                broken += _faults(page, empty, f"{name} without data")
    return broken


def _pages_of(person: str, ids: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, path.format(**ids)) for name, (who, path) in PAGES.items() if who == person]


@contextmanager
def _window(browser: Browser, url: str, person: str, width: int, colours: str) -> Iterator[Page]:
    size = {"width": width, "height": 800}
    with opened(browser, url, viewport=size, color_scheme=colours) as page:
        if person:
            become(page, person)
            page.wait_for_load_state()
        yield page


def _faults(page: Page, path: str, what: str) -> list[str]:
    response = page.goto(path)
    status = response.status if response else 0
    if status != 200:
        return [f"{what}: status {status}"]
    return [*width_fault(page, what), *(f"{what}: {each}" for each in serious(page))]


if __name__ == "__main__":
    sys.exit(main())
