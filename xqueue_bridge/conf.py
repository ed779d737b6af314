"""Ground: our settings, read when asked.

``XQUEUE_BRIDGE`` is one dict in the host's settings. Every key has a default here; a key that
is not listed here is refused by the system checks. Host-owned settings keep their names:
``XQUEUE_INTERFACE``, ``LMS_ROOT_URL``, ``XQUEUE_WAITTIME_BETWEEN_REQUESTS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings


@dataclass(frozen=True)
class QueueOptions:
    """What can be set for one queue in ``XQUEUE_BRIDGE["QUEUES"][name]``."""

    #: How long a grader has for one submission; default: the bridge's own LEASE_SECONDS.
    LEASE_SECONDS: int
    #: How often one submission is handed out at most; default: the bridge's MAX_DELIVERIES.
    MAX_DELIVERIES: int
    #: "points": the grader's score is points. "fraction": it is 0..1 of the answer's points.
    SCORE_SCALE: str = "points"


@dataclass(frozen=True)
class CredentialsOptions:
    """What can be set in ``XQUEUE_BRIDGE["CREDENTIALS"]``; the first four must be."""

    #: Credentials' REST API, such as "https://credentials.example.com/api/v2".
    URL: str
    #: The LMS's token endpoint, such as "https://lms.example.com/oauth2/access_token".
    TOKEN_URL: str
    #: Of an OAuth2 application with the grant "client credentials".
    CLIENT_ID: str
    CLIENT_SECRET: str = field(repr=False)
    #: Seconds to wait for the next piece of an answer.
    TIMEOUT: float = 10.0
    #: Dotted path of callable(user_id, course_key) -> bool: should Credentials know this grade?
    #: None: every grade.
    GRADE_FILTER: str | None = None

    @property
    def timeouts(self) -> tuple[float, float]:
        """Seconds to connect, and between two pieces of the answer."""
        return 3.05, self.TIMEOUT


@dataclass(frozen=True)
class Options:
    """The keys of ``XQUEUE_BRIDGE``, with their defaults."""

    # -- sending
    #: Queue name -> QueueOptions as a dict.
    QUEUES: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Refuse submissions to queues that are not in QUEUES.
    REJECT_UNKNOWN_QUEUES: bool = False
    MAX_BODY_BYTES: int = 2_621_440
    MAX_FILES: int = 20
    MAX_FILE_BYTES: int = 4_000_000
    #: Dotted path of the exception that a failed send raises, so that the block does not charge
    #: the learner an attempt; None: return the error tuple, which charges one.
    SEND_ERROR_CLASS: str | None = None

    # -- files
    #: Alias in STORAGES; must not be public.
    FILES_STORAGE_ALIAS: str = "xqueue_bridge"
    FILE_URL_SECONDS: int = 3600
    #: Scheme and host that graders reach us by; None: those of the grader's own request.
    PUBLIC_URL: str | None = None

    # -- graders
    LEASE_SECONDS: int = 300
    MAX_DELIVERIES: int = 4
    #: Seconds until an item whose reply was refused is handed out again.
    INVALID_REPLY_RETRY_DELAY: int = 5
    MAX_REPLY_BYTES: int = 1_048_576
    SESSION_SECONDS: int = 86_400
    SESSION_COOKIE: str = "xqueue_session_key"  # Django's error mails leave out what is a "key"
    #: Failed logins allowed for each source address and for each grader's name.
    LOGIN_FAILURE_RATE: str = "20/min"
    #: How long a grader's grants and sessions are believed without asking the database.
    GRADER_CACHE_SECONDS: int = 30
    CACHE_ALIAS: str = "default"

    # -- delivering replies
    #: "state", "block", "callback", or the dotted path of a backend class.
    REPLY_BACKEND: str = "state"
    #: Dotted path of callable(user_id, course_key, usage_key) -> block; for REPLY_BACKEND "block".
    BLOCK_LOADER: str | None = None
    #: URL prefixes that REPLY_BACKEND "callback" may post to, such as "https://lms.example.com/".
    CALLBACK_PREFIXES: tuple[str, ...] = ()
    #: "inline", "celery", or None: celery where a broker is configured.
    TASK_RUNNER: str | None = None
    #: How long a reply waits for the learner's state to be saved before it counts as stale.
    STALE_AFTER_SECONDS: int = 120
    MAX_ATTEMPTS: int = 24
    #: Seconds before the second attempt; doubles up to the limit, with jitter.
    RETRY_BACKOFF: float = 2.0
    RETRY_BACKOFF_MAX: float = 3600.0

    # -- learners' state
    #: Dotted path of the class that keeps the blocks' state: see user_state.py.
    USER_STATE_CLIENT: str = (
        "xqueue_bridge.learner_state.user_state_client.DjangoXBlockUserStateClient"
    )
    #: Rows that one statement reads when all learners' states are walked.
    USER_STATE_BATCH_SIZE: int = 500

    # -- history
    #: Write history to the extended table.
    HISTORY_EXTENDED: bool = False
    #: Read the history of both tables, whichever is written.
    HISTORY_READ_BOTH: bool = False
    #: Alias of the extended table's database; needs HistoryRouter in DATABASE_ROUTERS.
    HISTORY_DATABASE: str | None = None
    #: Whether a StudentModule that is deleted leaves its history behind.
    HISTORY_KEEP_AFTER_DELETE: bool = False

    # -- requests that only read
    #: Dotted path of callable(request) -> bool: is it a crawler's?
    CRAWLER_DETECTOR: str = "xqueue_bridge.learner_state.crawlers.is_known_crawler"

    # -- course grades
    #: Dotted path of a class with ``get(course_key) -> Course | None``; None: no course grades.
    COURSE_STRUCTURE_BACKEND: str | None = "xqueue_bridge.course_structure.store.StoredStructures"
    #: Seconds from a score to the recalculation that sees it, and others in between.
    RECALCULATE_GRADE_DELAY_SECONDS: float = 2.0
    #: Days after a course's end after which its grades do not move; None: they always do.
    GRADE_FREEZE_DAYS: int | None = 30
    #: NOW_PASSED and NOW_FAILED are sent at "every" recalculation, or at "transitions" only.
    GRADE_SIGNALS: str = "every"

    # -- other services
    #: CredentialsOptions as a dict; empty: grades are not sent on.
    CREDENTIALS: Mapping[str, Any] = field(default_factory=dict)


def options() -> Options:
    """Return the host's options, with defaults filled in."""
    given = getattr(settings, "XQUEUE_BRIDGE", {})
    if not isinstance(given, Mapping):
        given = {}  # the system check says so
    return Options(**{name: given[name] for name in option_names(Options) if name in given})


def queue_options(queue_name: str) -> QueueOptions:
    """Return what is set for one queue, with the bridge-wide values filled in."""
    everywhere = options()
    given = everywhere.QUEUES.get(queue_name, {})
    return QueueOptions(
        LEASE_SECONDS=given.get("LEASE_SECONDS", everywhere.LEASE_SECONDS),
        MAX_DELIVERIES=given.get("MAX_DELIVERIES", everywhere.MAX_DELIVERIES),
        SCORE_SCALE=given.get("SCORE_SCALE", QueueOptions.SCORE_SCALE),
    )


def credentials_options() -> CredentialsOptions | None:
    """Return what is set for Credentials; None where grades are not sent on."""
    given = options().CREDENTIALS
    return CredentialsOptions(**given) if given else None


def option_names(group: type) -> frozenset[str]:
    """Return the names that may be set in a group of options."""
    return frozenset(option.name for option in fields(group))
