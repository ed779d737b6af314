"""Settings of the bridge, read at each use.

``XQUEUE_BRIDGE`` is one dict in the host's settings. Every key has a default here, and the system
checks reject unknown keys. Host-owned settings keep their names: ``XQUEUE_INTERFACE``,
``LMS_ROOT_URL``, ``XQUEUE_WAITTIME_BETWEEN_REQUESTS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings

from xqueue_bridge.lms.project_type import is_lms


@dataclass(frozen=True)
class QueueOptions:
    """Options of one queue in ``XQUEUE_BRIDGE["QUEUES"][name]``."""

    #: Seconds that a grader's lease lasts; default: the bridge's own LEASE_SECONDS.
    LEASE_SECONDS: int
    #: Maximum of deliveries of one submission; default: the bridge's MAX_DELIVERIES.
    MAX_DELIVERIES: int
    #: "points": the grader's score is points. "fraction": it is 0..1 of the answer's points.
    SCORE_SCALE: str = "points"


@dataclass(frozen=True)
class CredentialsOptions:
    """Options in ``XQUEUE_BRIDGE["CREDENTIALS"]``; the first four are required."""

    #: Credentials' REST API, such as "https://credentials.example.com/api/v2".
    URL: str
    #: The LMS's token endpoint, such as "https://lms.example.com/oauth2/access_token".
    TOKEN_URL: str
    #: Id of an OAuth2 application with the grant "client credentials".
    CLIENT_ID: str
    CLIENT_SECRET: str = field(repr=False)
    #: Seconds between two parts of a response.
    TIMEOUT: float = 10.0
    #: Dotted path of callable(user_id, course_key) -> bool, which selects the grades to send.
    #: None: every grade.
    GRADE_FILTER: str | None = None

    @property
    def timeouts(self) -> tuple[float, float]:
        """Return the seconds to connect, and the seconds between two parts of the response."""
        return 3.05, self.TIMEOUT


@dataclass(frozen=True)
class Options:
    """The keys of ``XQUEUE_BRIDGE``, with their defaults."""

    # -- in an LMS
    #: Put our XQueueService in place of the platform's when the app is ready.
    REPLACE_XQUEUE_SERVICE: bool = True

    # -- sending
    #: Queue name -> QueueOptions as a dict.
    QUEUES: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Refuse submissions to queues that are not in QUEUES.
    REJECT_UNKNOWN_QUEUES: bool = False
    MAX_BODY_BYTES: int = 2_621_440
    MAX_FILES: int = 20
    MAX_FILE_BYTES: int = 4_000_000
    #: Dotted path of the exception that a failed send raises, so that the block does not count
    #: an attempt; None: return the error tuple, after which the block counts one.
    SEND_ERROR_CLASS: str | None = None

    # -- files
    #: Alias in STORAGES; the storage must not be public.
    FILES_STORAGE_ALIAS: str = "xqueue_bridge"
    FILE_URL_SECONDS: int = 3600
    #: Scheme and host of the URLs sent to graders; None: those of the grader's request.
    PUBLIC_URL: str | None = None

    # -- graders
    LEASE_SECONDS: int = 300
    MAX_DELIVERIES: int = 4
    #: Seconds until a submission whose reply was invalid is delivered again.
    INVALID_REPLY_RETRY_DELAY: int = 5
    MAX_REPLY_BYTES: int = 1_048_576
    SESSION_SECONDS: int = 86_400
    SESSION_COOKIE: str = "xqueue_session_key"  # Django's error mails hide names with "key"
    #: Failed logins allowed for each source address and for each grader name.
    LOGIN_FAILURE_RATE: str = "20/min"
    #: Seconds for which a grader's grants and sessions are cached.
    GRADER_CACHE_SECONDS: int = 30
    CACHE_ALIAS: str = "default"

    # -- applying replies
    #: "state", "block", "callback", or the dotted path of a backend class.
    REPLY_BACKEND: str = "state"
    #: Dotted path of callable(user_id, course_key, usage_key) -> block; for REPLY_BACKEND "block".
    BLOCK_LOADER: str | None = None
    #: URL prefixes that REPLY_BACKEND "callback" may post to, such as "https://lms.example.com/".
    CALLBACK_PREFIXES: tuple[str, ...] = ()
    #: "inline", "celery", or None: celery where a broker is configured.
    TASK_RUNNER: str | None = None
    #: Seconds that a reply waits for the learner's state to be saved before it becomes stale.
    STALE_AFTER_SECONDS: int = 120
    MAX_ATTEMPTS: int = 24
    #: Seconds before the second attempt; doubles up to RETRY_BACKOFF_MAX, with jitter.
    RETRY_BACKOFF: float = 2.0
    RETRY_BACKOFF_MAX: float = 3600.0

    # -- learner state
    #: Dotted path of the class that stores the state of blocks: see user_state.py.
    USER_STATE_CLIENT: str = (
        "xqueue_bridge.learner_state.user_state_client.DjangoXBlockUserStateClient"
    )
    #: Rows per statement when the states of all learners are iterated.
    USER_STATE_BATCH_SIZE: int = 500

    # -- history
    #: Write history to the extended table.
    HISTORY_EXTENDED: bool = False
    #: Read the history from both tables, regardless of HISTORY_EXTENDED.
    HISTORY_READ_BOTH: bool = False
    #: Alias of the extended table's database; needs HistoryRouter in DATABASE_ROUTERS.
    HISTORY_DATABASE: str | None = None
    #: Keep the history when a StudentModule is deleted.
    HISTORY_KEEP_AFTER_DELETE: bool = False

    # -- read-only requests
    #: Dotted path of callable(request) -> bool, which says whether a crawler sent the request.
    CRAWLER_DETECTOR: str = "xqueue_bridge.learner_state.crawlers.is_known_crawler"

    # -- course grades
    #: Dotted path of a class with ``get(course_key) -> Course | None``; None: no course grades.
    COURSE_STRUCTURE_BACKEND: str | None = "xqueue_bridge.course_structure.store.StoredStructures"
    #: Seconds from a score to the recalculation, which includes scores written meanwhile.
    RECALCULATE_GRADE_DELAY_SECONDS: float = 2.0
    #: Days after a course's end after which its grades are frozen; None: never.
    GRADE_FREEZE_DAYS: int | None = 30
    #: NOW_PASSED and NOW_FAILED are sent at "every" recalculation, or at "transitions" only.
    GRADE_SIGNALS: str = "every"

    # -- other services
    #: CredentialsOptions as a dict; empty: no grades are sent.
    CREDENTIALS: Mapping[str, Any] = field(default_factory=dict)


#: Defaults that differ in an LMS. Learner state and grades are the platform's there, so replies
#: are applied by the block itself, and we compute no grades.
LMS_DEFAULTS: Mapping[str, Any] = {
    "REPLY_BACKEND": "block",
    "BLOCK_LOADER": "xqueue_bridge.lms.loader.load_block",
    "COURSE_STRUCTURE_BACKEND": None,
}


def options() -> Options:
    """Return the host's options, with defaults filled in: those of an LMS in an LMS."""
    given = getattr(settings, "XQUEUE_BRIDGE", {})
    if not isinstance(given, Mapping):
        given = {}  # a system check reports the error
    chosen = {name: given[name] for name in option_names(Options) if name in given}
    if is_lms():
        chosen = {**LMS_DEFAULTS, **chosen}
    return Options(**chosen)


def queue_options(queue_name: str) -> QueueOptions:
    """Return the options of one queue, with the bridge-wide values as defaults."""
    everywhere = options()
    given = everywhere.QUEUES.get(queue_name, {})
    return QueueOptions(
        LEASE_SECONDS=given.get("LEASE_SECONDS", everywhere.LEASE_SECONDS),
        MAX_DELIVERIES=given.get("MAX_DELIVERIES", everywhere.MAX_DELIVERIES),
        SCORE_SCALE=given.get("SCORE_SCALE", QueueOptions.SCORE_SCALE),
    )


def credentials_options() -> CredentialsOptions | None:
    """Return the options of Credentials; None if no grades are sent."""
    given = options().CREDENTIALS
    return CredentialsOptions(**given) if given else None


def option_names(group: type) -> frozenset[str]:
    """Return the option names of a group."""
    return frozenset(option.name for option in fields(group))
