"""The keys of ``XQUEUE_BRIDGE``, one dict in the host's settings. ``conf.py`` reads them.

Every key has a default here, and the system checks reject unknown keys. Host-owned settings keep
their names: ``XQUEUE_INTERFACE``, ``LMS_ROOT_URL``, ``XQUEUE_WAITTIME_BETWEEN_REQUESTS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Options:
    """The keys of ``XQUEUE_BRIDGE``, with their defaults, annotated as in the platform (OEP-17)."""

    # -- in an LMS
    # .. setting_name: XQUEUE_BRIDGE['REPLACE_XQUEUE_SERVICE']
    # .. setting_default: True
    # .. setting_description: Put our XQueueService in place of the platform's.
    REPLACE_XQUEUE_SERVICE: bool = True

    # -- events of openedx-events
    # .. setting_name: XQUEUE_BRIDGE['SEND_EXTERNAL_GRADER_EVENT']
    # .. setting_default: False
    # .. setting_description: Send EXTERNAL_GRADER_SCORE_SUBMITTED for each grade that was applied.
    SEND_EXTERNAL_GRADER_EVENT: bool = False
    # .. setting_name: XQUEUE_BRIDGE['RECEIVE_EXTERNAL_GRADER_EVENT']
    # .. setting_default: False
    # .. setting_description: Store and apply the results that edx-submissions announces with
    #   EXTERNAL_GRADER_SCORE_SUBMITTED, in place of the platform's own receiver.
    RECEIVE_EXTERNAL_GRADER_EVENT: bool = False

    # -- sending
    # .. setting_name: XQUEUE_BRIDGE['QUEUES']
    # .. setting_default: {}
    # .. setting_description: Queue name -> QueueOptions as a dict.
    QUEUES: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # .. setting_name: XQUEUE_BRIDGE['REJECT_UNKNOWN_QUEUES']
    # .. setting_default: False
    # .. setting_description: Refuse submissions to queues that are not in QUEUES.
    REJECT_UNKNOWN_QUEUES: bool = False
    # .. setting_name: XQUEUE_BRIDGE['MAX_BODY_BYTES']
    # .. setting_default: 2621440
    # .. setting_description: Maximum size of a submission's body.
    MAX_BODY_BYTES: int = 2_621_440
    # .. setting_name: XQUEUE_BRIDGE['MAX_FILES']
    # .. setting_default: 20
    # .. setting_description: Maximum number of files in a submission.
    MAX_FILES: int = 20
    # .. setting_name: XQUEUE_BRIDGE['MAX_FILE_BYTES']
    # .. setting_default: 4000000
    # .. setting_description: Maximum size of one file.
    MAX_FILE_BYTES: int = 4_000_000
    # .. setting_name: XQUEUE_BRIDGE['MAX_PENDING_ANSWERS']
    # .. setting_default: 50
    # .. setting_description: Maximum number of answers of one learner to one problem that wait for
    #   a grader or are with one; 0: no limit.
    MAX_PENDING_ANSWERS: int = 50
    # .. setting_name: XQUEUE_BRIDGE['PRIORITY_SECONDS']
    # .. setting_default: 3600.0
    # .. setting_description: Seconds by which a submission with one step more priority is due
    #   earlier; 0: all submissions of a queue are pulled in the order of arrival.
    PRIORITY_SECONDS: float = 3600.0
    # .. setting_name: XQUEUE_BRIDGE['SEND_ERROR_CLASS']
    # .. setting_default: None
    # .. setting_description: Dotted path of the exception that a failed send raises, so that the
    #   block does not count an attempt; None: return the error tuple, after which the block counts
    #   one.
    SEND_ERROR_CLASS: str | None = None

    # .. setting_name: XQUEUE_BRIDGE['LEGACY_XQUEUE_INTERFACE']
    # .. setting_default: {}
    # .. setting_description: The legacy XQueue server, in the form of XQUEUE_INTERFACE, where that
    #   names this site. Submissions of courses that are not switched go there.
    LEGACY_XQUEUE_INTERFACE: Mapping[str, Any] = field(default_factory=dict)

    # -- files
    # .. setting_name: XQUEUE_BRIDGE['FILES_STORAGE_ALIAS']
    # .. setting_default: 'xqueue_bridge'
    # .. setting_description: Alias in STORAGES; the storage must not be public.
    FILES_STORAGE_ALIAS: str = "xqueue_bridge"
    # .. setting_name: XQUEUE_BRIDGE['FILE_URL_SECONDS']
    # .. setting_default: 3600
    # .. setting_description: Seconds for which a file's URL is valid after it was sent to a grader.
    FILE_URL_SECONDS: int = 3600
    # .. setting_name: XQUEUE_BRIDGE['PUBLIC_URL']
    # .. setting_default: None
    # .. setting_description: Scheme and host of the URLs sent to graders; None: those of the
    #   grader's request.
    PUBLIC_URL: str | None = None

    # -- graders
    # .. setting_name: XQUEUE_BRIDGE['LEASE_SECONDS']
    # .. setting_default: 300
    # .. setting_description: Seconds that a grader's lease lasts.
    LEASE_SECONDS: int = 300
    # .. setting_name: XQUEUE_BRIDGE['MAX_DELIVERIES']
    # .. setting_default: 10
    # .. setting_description: Maximum number of deliveries of a submission.
    MAX_DELIVERIES: int = 10
    # .. setting_name: XQUEUE_BRIDGE['MAX_AGE_SECONDS']
    # .. setting_default: 86400
    # .. setting_description: Seconds from sending after which a delivery without a valid result is
    #   the last one.
    MAX_AGE_SECONDS: int = 86_400
    # .. setting_name: XQUEUE_BRIDGE['REDELIVERY_BACKOFF']
    # .. setting_default: 30.0
    # .. setting_description: Seconds from an invalid reply to the second delivery; doubles.
    REDELIVERY_BACKOFF: float = 30.0
    # .. setting_name: XQUEUE_BRIDGE['REDELIVERY_BACKOFF_MAX']
    # .. setting_default: 3600.0
    # .. setting_description: Maximum seconds from an invalid reply to the next delivery.
    REDELIVERY_BACKOFF_MAX: float = 3600.0
    # .. setting_name: XQUEUE_BRIDGE['PAUSE_AFTER_INVALID_REPLIES']
    # .. setting_default: 5
    # .. setting_description: Invalid replies in a row after which a grader gets no submissions for
    #   a while; 0: never.
    PAUSE_AFTER_INVALID_REPLIES: int = 5
    # .. setting_name: XQUEUE_BRIDGE['MAX_REPLY_BYTES']
    # .. setting_default: 1048576
    # .. setting_description: Maximum size of a grader's feedback; longer feedback is shortened.
    MAX_REPLY_BYTES: int = 1_048_576
    # .. setting_name: XQUEUE_BRIDGE['SESSION_SECONDS']
    # .. setting_default: 86400
    # .. setting_description: Seconds that a grader's login lasts.
    SESSION_SECONDS: int = 86_400
    # .. setting_name: XQUEUE_BRIDGE['SESSION_COOKIE']
    # .. setting_default: 'xqueue_session_key'
    # .. setting_description: Name of the graders' session cookie.
    SESSION_COOKIE: str = "xqueue_session_key"  # Django's error mails hide names with "key"
    # .. setting_name: XQUEUE_BRIDGE['LOGIN_FAILURE_RATE']
    # .. setting_default: '20/min'
    # .. setting_description: Failed logins of each source address that are logged; a right secret
    #   is always taken.
    LOGIN_FAILURE_RATE: str = "20/min"
    # .. setting_name: XQUEUE_BRIDGE['TRUSTED_PROXIES']
    # .. setting_default: ()
    # .. setting_description: Addresses or networks of proxies whose X-Forwarded-For is read.
    TRUSTED_PROXIES: tuple[str, ...] = ()
    # .. setting_name: XQUEUE_BRIDGE['GRADER_CACHE_SECONDS']
    # .. setting_default: 30
    # .. setting_description: Seconds for which a grader's grants and sessions are cached.
    GRADER_CACHE_SECONDS: int = 30
    # .. setting_name: XQUEUE_BRIDGE['CACHE_ALIAS']
    # .. setting_default: 'default'
    # .. setting_description: Alias in CACHES.
    CACHE_ALIAS: str = "default"

    # -- the gateway
    # .. setting_name: XQUEUE_BRIDGE['GATEWAY']
    # .. setting_default: None
    # .. setting_description: GatewayOptions as a dict, also an empty one; None: there is no gateway.
    GATEWAY: Mapping[str, Any] | None = None

    # -- applying replies
    # .. setting_name: XQUEUE_BRIDGE['REPLY_BACKEND']
    # .. setting_default: 'state'
    # .. setting_description: "state", "block", "callback", or the dotted path of a backend class.
    REPLY_BACKEND: str = "state"
    # .. setting_name: XQUEUE_BRIDGE['BLOCK_LOADER']
    # .. setting_default: None
    # .. setting_description: Dotted path of callable(user_id, course_key, usage_key) -> block; for
    #   REPLY_BACKEND "block".
    BLOCK_LOADER: str | None = None
    # .. setting_name: XQUEUE_BRIDGE['CALLBACK_PREFIXES']
    # .. setting_default: ()
    # .. setting_description: URL prefixes that REPLY_BACKEND "callback" may post to.
    CALLBACK_PREFIXES: tuple[str, ...] = ()
    # .. setting_name: XQUEUE_BRIDGE['TASK_RUNNER']
    # .. setting_default: None
    # .. setting_description: "inline", "celery", or None: celery where a broker is configured.
    TASK_RUNNER: str | None = None
    # .. setting_name: XQUEUE_BRIDGE['BACKGROUND_THREAD']
    # .. setting_default: True
    # .. setting_description: Whether a thread of each web process applies replies, or publishes
    #   their tasks; False: the thread of the request does, after the response.
    BACKGROUND_THREAD: bool = True
    # .. setting_name: XQUEUE_BRIDGE['STALE_AFTER_SECONDS']
    # .. setting_default: 120
    # .. setting_description: Seconds that a reply waits for the learner's state to be saved before
    #   it becomes stale.
    STALE_AFTER_SECONDS: int = 120
    # .. setting_name: XQUEUE_BRIDGE['LATE_RESULTS']
    # .. setting_default: "ask_staff"
    # .. setting_description: Whether a result that comes after its submission has failed counts:
    #   "never", "if_waiting" or "ask_staff".
    LATE_RESULTS: str = "ask_staff"
    # .. setting_name: XQUEUE_BRIDGE['MAX_ATTEMPTS']
    # .. setting_default: 24
    # .. setting_description: Maximum number of attempts to apply a reply.
    MAX_ATTEMPTS: int = 24
    # .. setting_name: XQUEUE_BRIDGE['RETRY_BACKOFF']
    # .. setting_default: 2.0
    # .. setting_description: Seconds before the second attempt; doubles up to RETRY_BACKOFF_MAX.
    RETRY_BACKOFF: float = 2.0
    # .. setting_name: XQUEUE_BRIDGE['RETRY_BACKOFF_MAX']
    # .. setting_default: 3600.0
    # .. setting_description: Maximum of RETRY_BACKOFF.
    RETRY_BACKOFF_MAX: float = 3600.0

    # -- learner state
    # .. setting_name: XQUEUE_BRIDGE['USER_STATE_CLIENT']
    # .. setting_default: 'xqueue_bridge.learner_state.user_state_client.DjangoXBlockUserStateClient'
    # .. setting_description: Dotted path of the class that stores blocks' state: user_state.py.
    USER_STATE_CLIENT: str = (
        "xqueue_bridge.learner_state.user_state_client.DjangoXBlockUserStateClient"
    )
    # .. setting_name: XQUEUE_BRIDGE['USER_STATE_BATCH_SIZE']
    # .. setting_default: 500
    # .. setting_description: Rows per statement when the states of all learners are iterated.
    USER_STATE_BATCH_SIZE: int = 500

    # -- history
    # .. setting_name: XQUEUE_BRIDGE['HISTORY_EXTENDED']
    # .. setting_default: False
    # .. setting_description: Write history to the extended table.
    HISTORY_EXTENDED: bool = False
    # .. setting_name: XQUEUE_BRIDGE['HISTORY_READ_BOTH']
    # .. setting_default: False
    # .. setting_description: Read the history from both tables, regardless of HISTORY_EXTENDED.
    HISTORY_READ_BOTH: bool = False
    # .. setting_name: XQUEUE_BRIDGE['HISTORY_DATABASE']
    # .. setting_default: None
    # .. setting_description: Alias of the extended table's database; needs HistoryRouter in
    #   DATABASE_ROUTERS.
    HISTORY_DATABASE: str | None = None
    # .. setting_name: XQUEUE_BRIDGE['HISTORY_KEEP_AFTER_DELETE']
    # .. setting_default: False
    # .. setting_description: Keep the history when a StudentModule is deleted.
    HISTORY_KEEP_AFTER_DELETE: bool = False

    # -- read-only requests
    # .. setting_name: XQUEUE_BRIDGE['CRAWLER_DETECTOR']
    # .. setting_default: 'xqueue_bridge.learner_state.crawlers.is_known_crawler'
    # .. setting_description: Dotted path of callable(request) -> bool, which says whether a crawler
    #   sent the request.
    CRAWLER_DETECTOR: str = "xqueue_bridge.learner_state.crawlers.is_known_crawler"

    # -- learners' pages
    # .. setting_name: XQUEUE_BRIDGE['SHOW_RESULTS']
    # .. setting_default: 'xqueue_bridge.views.learner.results.may_see_results'
    # .. setting_description: Dotted path of callable(user_id, course_key, usage_key) -> bool, which
    #   says whether a learner may see points, feedback and tests of a block now.
    SHOW_RESULTS: str = "xqueue_bridge.views.learner.results.may_see_results"

    # .. setting_name: XQUEUE_BRIDGE['DESCRIBE_PROBLEM']
    # .. setting_default: 'xqueue_bridge.views.learner.problems.describe_problem'
    # .. setting_description: Dotted path of callable(course_key, usage_key) -> ProblemDescription,
    #   which returns name, page and weight of a problem, and the name of the course.
    DESCRIBE_PROBLEM: str = "xqueue_bridge.views.learner.problems.describe_problem"

    # -- course teams
    # .. setting_name: XQUEUE_BRIDGE['COURSE_STAFF_CHECK']
    # .. setting_default: 'xqueue_bridge.lms.course_staff.is_course_staff'
    # .. setting_description: Dotted path of callable(user, course_key) -> bool, which says whether a
    #   user may see and regrade the submissions of a course.
    COURSE_STAFF_CHECK: str = "xqueue_bridge.lms.course_staff.is_course_staff"

    # -- course grades
    # .. setting_name: XQUEUE_BRIDGE['COURSE_STRUCTURE_BACKEND']
    # .. setting_default: 'xqueue_bridge.course_structure.store.StoredStructures'
    # .. setting_description: Dotted path of a class with ``get(course_key) -> Course | None``;
    #   None: no course grades.
    COURSE_STRUCTURE_BACKEND: str | None = "xqueue_bridge.course_structure.store.StoredStructures"
    # .. setting_name: XQUEUE_BRIDGE['RECALCULATE_GRADE_DELAY_SECONDS']
    # .. setting_default: 2.0
    # .. setting_description: Seconds from a score to the recalculation, which includes scores
    #   written meanwhile.
    RECALCULATE_GRADE_DELAY_SECONDS: float = 2.0
    # .. setting_name: XQUEUE_BRIDGE['GRADE_FREEZE_DAYS']
    # .. setting_default: 30
    # .. setting_description: Days from a course's end until its grades are frozen; None: never.
    GRADE_FREEZE_DAYS: int | None = 30
    # .. setting_name: XQUEUE_BRIDGE['GRADE_SIGNALS']
    # .. setting_default: 'every'
    # .. setting_description: NOW_PASSED and NOW_FAILED are sent at "every" recalculation, or at
    #   "transitions" only.
    GRADE_SIGNALS: str = "every"

    # -- other services
    # .. setting_name: XQUEUE_BRIDGE['CREDENTIALS']
    # .. setting_default: {}
    # .. setting_description: CredentialsOptions as a dict; empty: no grades are sent.
    CREDENTIALS: Mapping[str, Any] = field(default_factory=dict)

    # -- metrics
    # .. setting_name: XQUEUE_BRIDGE['METRICS_TOKEN']
    # .. setting_default: None
    # .. setting_description: Bearer token of /xqueue/metrics/; None: that URL does not exist.
    METRICS_TOKEN: str | None = None
    # .. setting_name: XQUEUE_BRIDGE['HEALTH_TOKEN']
    # .. setting_default: None
    # .. setting_description: Bearer token of /xqueue/health/; None: only staff may read it.
    HEALTH_TOKEN: str | None = None
    # .. setting_name: XQUEUE_BRIDGE['ALERTS']
    # .. setting_default: {}
    # .. setting_description: AlertOptions as a dict; empty: no operator is notified.
    ALERTS: Mapping[str, Any] = field(default_factory=dict)
