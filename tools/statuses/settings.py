"""The demo's settings, with the page of all statuses and the languages to look at."""

from pathlib import Path

from demo.settings import *  # noqa: F403
from demo.settings import TEMPLATES

ROOT_URLCONF = "tools.statuses.urls"
TEMPLATES[0]["DIRS"].append(Path(__file__).parent / "templates")
# en-xa: the pseudo-language of tools/messages.py. ar is read from right to left; it has no
# catalogue, so its texts are English.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("en-xa", "Pseudo"), ("ar", "Arabic")]
XQUEUE_BRIDGE = {
    "REPLY_BACKEND": "state",
    "COURSE_STRUCTURE_BACKEND": None,
    "SHOW_RESULTS": "tools.statuses.states.shows_results",
}
