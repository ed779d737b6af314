"""Groups of options that are a dict in ``XQUEUE_BRIDGE``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class QueueOptions:
    """Options of one queue in ``XQUEUE_BRIDGE["QUEUES"][name]``."""

    #: Seconds that a grader's lease lasts; default: the bridge's own LEASE_SECONDS.
    LEASE_SECONDS: int
    #: Maximum of deliveries of one submission; default: the bridge's MAX_DELIVERIES.
    MAX_DELIVERIES: int
    #: Seconds after which a submission is not pulled again; default: the bridge's own.
    MAX_AGE_SECONDS: int
    #: Seconds from an invalid reply to the next pull; doubles. Default: the bridge's own.
    REDELIVERY_BACKOFF: float
    REDELIVERY_BACKOFF_MAX: float
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
class AlertOptions:
    """Options in ``XQUEUE_BRIDGE["ALERTS"]``: who is notified of trouble, and its limits."""

    #: Who gets a mail, through Django's EMAIL_BACKEND and DEFAULT_FROM_EMAIL.
    EMAILS: tuple[str, ...] = ()
    #: Where a notification is posted as JSON, signed with WEBHOOK_SECRET.
    WEBHOOK_URL: str | None = None
    WEBHOOK_SECRET: str | None = field(default=None, repr=False)
    #: Seconds that a submission may wait.
    STALLED_SECONDS: float = 900.0
    #: Seconds without a request of a queue's graders, while submissions wait.
    GRADER_GONE_SECONDS: float = 600.0
    #: Failed submissions of a queue within an hour.
    FAILED_PER_HOUR: int = 10
    #: Seconds within which trouble that comes and goes is told once.
    REPEAT_SECONDS: float = 3600.0


@dataclass(frozen=True)
class GatewayOptions:
    """Options in ``XQUEUE_BRIDGE["GATEWAY"]``."""

    #: Seconds for which the gateway holds a pull from an empty queue.
    HOLD_SECONDS: float = 30.0
    #: Seconds without a byte, after which a held response begins with spaces; less than the
    #: graders' read timeout, which is 1 second in xqueue-watcher.
    SILENT_SECONDS: float = 0.5
    #: Seconds between two light polls while no announcements arrive.
    POLL_SECONDS: float = 0.1
    #: Where submissions are announced; None: by NOTIFY on PostgreSQL, not at all elsewhere.
    REDIS_URL: str | None = field(default=None, repr=False)
    #: Threads that run Django's views, each with its own database connection.
    THREADS: int = 8
    #: Whether the gateway pushes learners the status of their answers.
    LEARNER_EVENTS: bool = False
    #: Connections of graders and learners; further requests get status 503.
    MAX_CONNECTIONS: int = 5000
