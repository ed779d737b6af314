"""Check the page of all statuses in a browser, and write its pictures.

    python -m tools.statuses.pictures FOLDER

In each size, colour and language, and without JavaScript, the page has the text of each status, is
not wider than the window and has no serious accessibility violation. ``tools/screenshots.py``
calls it, too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.demo.browsing import CHROMIUM, FLAGS, opened, serious
from tools.demo_site import new_site, width_fault

PATH = "/statuses/"
#: Creates the answers; prints the id of their learner, and the texts of each status.
PREPARE = """
import django; django.setup()
import json
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tools.statuses.states import STATES, create
print(json.dumps([create(), {name: [s.texts, s.is_final] for name, s in STATES.items()}]))
"""
#: The text of a status that the site's own code has given, so that it is in no catalogue.
UNTRANSLATED = {"The answer contains a name. Submit it without."}
LOST = "The site does not respond, so this status is old. Trying again…"
ENDED = "Reload the page to see how far it is."

States = dict[str, tuple[list[str], bool]]


@dataclass(frozen=True)
class Variant:
    """One way to look at the page."""

    width: int
    colours: str
    language: str = "en"
    has_script: bool = True

    @property
    def name(self) -> str:
        script = "" if self.has_script else "-without-script"
        return f"statuses-{self.width}-{self.colours}-{self.language}{script}"


VARIANTS = (
    Variant(1280, "light"),
    Variant(1280, "dark", "de"),
    Variant(375, "dark"),
    Variant(375, "light", "en-XA"),
    Variant(375, "light", "ar"),
    Variant(375, "light", has_script=False),
)


def check(browser: Browser, folder: Path) -> list[str]:
    """Look at each variant, and write its picture; return a line for each fault."""
    broken = []
    with new_site("tools.statuses.settings") as site:
        learner, states = json.loads(site.run(PREPARE).splitlines()[-1])
        with site.serve() as url:
            for variant in VARIANTS:
                with _window(browser, url, learner, variant) as page:
                    broken += _faults(page, variant, states)
                    page.screenshot(path=str(folder / f"{variant.name}.png"), full_page=True)
            for status, text in ((200, LOST), (403, ENDED)):
                with _window(browser, url, learner, VARIANTS[2], expected="403") as page:
                    broken += _old_status(page, status, text)
                    path = folder / f"statuses-old-{status}.png"
                    page.locator("#grading").screenshot(path=str(path))
    return broken


@contextmanager
def _window(
    browser: Browser, url: str, learner: int, variant: Variant, **more: Any
) -> Iterator[Page]:
    more |= {"viewport": {"width": variant.width, "height": 800}, "locale": variant.language}
    more |= {"color_scheme": variant.colours, "java_script_enabled": variant.has_script}
    with opened(browser, url, **more) as page:
        page.goto("/choose/")
        page.locator(f'button[value="{learner}"]').click()
        yield page


def _faults(page: Page, variant: Variant, states: States) -> Iterator[str]:
    response = page.goto(PATH)
    if response is None or response.status != 200:
        yield f"{variant.name}: no page"
        return
    for name, (texts, is_final) in states.items():
        section = page.locator(f"#{name}")
        for fault in _text_faults(section, variant, texts, is_final):
            yield f"{variant.name}: {name}: {fault}"
    yield from width_fault(page, variant.name)
    if variant.has_script:
        yield from (f"{variant.name}: {each}" for each in serious(page))
    if variant.language == "ar" and page.locator("html").get_attribute("dir") != "rtl":
        yield f"{variant.name}: not from right to left"


def _text_faults(section: Any, variant: Variant, texts: list[str], is_final: bool) -> Iterator[str]:
    shown = section.locator(".xqueue-answers p").all_inner_texts()
    if bool(texts) != bool(shown):
        yield f"shows {shown}"
    if variant.language == "ar":
        # English texts among Arabic ones, so that "1 of 2 points" is not shown as "of 2 points 1".
        yield from (f"{each} is not isolated" for each in _of_direction(section, "rtl"))
    elif variant.language == "en":
        yield from (f"{text!r} is missing" for text in texts if text not in "\n".join(shown))
    elif variant.language == "en-XA":
        yield from (
            f"{text!r} is not translated"
            for text in shown
            if not text.startswith("[") and text not in UNTRANSLATED
        )
    can_reload = section.get_by_role("link", name=ENDED).count() == 1
    if not variant.has_script and can_reload == is_final:
        yield "has a link to reload" if can_reload else "has no link to reload"
    if (section.locator("[data-refresh='']").count() == 1) != is_final:
        yield "is requested again" if is_final else "is not requested again"


def _of_direction(section: Any, direction: str) -> list[str]:
    """Return the texts of a status that are written in a direction."""
    texts = "each => each.map(one => [getComputedStyle(one).direction, one.innerText])"
    found = section.locator(".xqueue-answers p").evaluate_all(texts)
    return [text for of_text, text in found if of_text == direction]


def _old_status(page: Page, status: int, text: str) -> list[str]:
    """Let the site not respond as it should, and wait until the status says so."""
    page.route("**/my/status/**", lambda route: route.fulfill(status=status, body="no JSON"))
    page.goto(PATH)
    page.locator("#grading .xqueue-visible").filter(has_text=text).wait_for()
    shown = page.locator("#grading .xqueue-answers").inner_text()
    return [] if "Being graded" in shown else [f"{text!r} instead of the status"]


def main(folder: str) -> int:
    """Write the pictures into a folder; return 0 if nothing is wrong."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        broken = check(browser, Path(folder))
    print("\n".join(broken) or f"Nothing is wrong with the statuses in {folder}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
