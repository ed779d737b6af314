"""Reply backend "callback", which posts to the LMS's callback URL like an XQueue server."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from urllib.parse import SplitResult, urlsplit

from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, Timeout

from xqueue_bridge import http_client
from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, ReplyToApply
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies.backends.base import OnApplied, points_of, with_mark
from xqueue_bridge.grader_replies.parsing import write_reply
from xqueue_bridge.protocol.fields import read_json
from xqueue_bridge.worker.circuit_breaker import CircuitBreaker

#: The LMS acknowledges and drops a reply that its state does not wait for yet. So a reply is not
#: posted before the block has had this time to save its state.
HOLD = timedelta(seconds=2)
#: Seconds without a request to an LMS that did not respond in time. One that is down would hold up
#: a sweep for ten seconds with each of its replies.
PAUSE_SECONDS = 60.0

#: Host and port -> its breaker; CALLBACK_PREFIXES bounds their number.
_breakers: dict[str, CircuitBreaker] = {}

#: Status codes for a learner or block that the LMS does not have.
GONE = frozenset({404, 410})


class CallbackBackend:
    """Apply replies in an LMS that runs in another process and whose state cannot be read.

    ``applied`` means that the LMS acknowledged the reply; it also acknowledges a reply that its
    state no longer waits for.
    """

    needs_block_lock = True
    recheck_seconds = None
    state_is_ours = False

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        """Post a reply: the original header, and the reply sanitised and clamped."""
        url = _callback_url(to_apply)
        if to_apply.age < HOLD:
            raise TransientApplyError("The learner's state may not be saved yet.")
        points, maximum = _points(to_apply)
        body = write_reply(with_mark(to_apply.reply, points, maximum), score=points)
        breaker = _breakers.setdefault(urlsplit(url).netloc, CircuitBreaker(PAUSE_SECONDS))
        if not breaker.allows():
            raise TransientApplyError("The LMS did not respond in time to another request.")
        try:
            with http_client.post(
                url,
                data={"xqueue_header": to_apply.header, "xqueue_body": body},
                stream=True,  # only the status is read
            ) as response:
                status = response.status_code
        except (InvalidSchema, InvalidURL, MissingSchema):
            # "from None": requests puts the URL with the learner's id into its messages.
            raise PermanentApplyError("The callback URL is not one.") from None
        except Timeout as exc:
            breaker.record_failure()
            raise TransientApplyError(f"No answer: {type(exc).__name__}") from None
        except http_client.HTTP_ERRORS as exc:
            raise TransientApplyError(f"No answer: {type(exc).__name__}") from None
        breaker.record_success()
        if status in GONE:
            raise PermanentApplyError(f"The LMS answered {status}.")
        if status != 200:
            raise TransientApplyError(f"The LMS answered {status}.")
        result = ApplyResult(applied=True)
        in_transaction(partial(on_applied, result))  # the request must not be repeated
        return result


def _points(to_apply: ReplyToApply) -> tuple[float, float | None]:
    """Return the answer's points and their maximum, as far as known.

    The queue key does not name the answer.
    """
    worths = set(to_apply.points.values())
    if to_apply.score_is_fraction and len(worths) != 1:
        raise PermanentApplyError(
            "A fraction of unknown points: set this queue's SCORE_SCALE to 'points'."
        )
    maximum = max(worths, default=None)
    points = points_of(to_apply.reply, maximum, is_fraction=to_apply.score_is_fraction)
    # The largest of several answers does not say that this answer has all its points.
    return points, maximum if len(worths) == 1 else None


def _callback_url(to_apply: ReplyToApply) -> str:
    """Return the header's URL if CALLBACK_PREFIXES allows it."""
    try:
        url = read_json(to_apply.header)["lms_callback_url"]
        parts = urlsplit(url)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise PermanentApplyError("The header has no callback URL.") from None
    if not isinstance(url, str):
        raise PermanentApplyError("The header has no callback URL.")
    if not may_post_to(url):
        raise PermanentApplyError(
            "The callback URL is below none of XQUEUE_BRIDGE['CALLBACK_PREFIXES']."
        )
    if parts.path.rsplit("/", 1)[-1] != to_apply.target.dispatch:
        raise PermanentApplyError("The callback URL has another dispatch.")
    return url


def may_post_to(url: str) -> bool:
    """Return whether a callback URL is below one of CALLBACK_PREFIXES."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return any(_is_below(parts, urlsplit(prefix)) for prefix in options().CALLBACK_PREFIXES)


def _is_below(url: SplitResult, prefix: SplitResult) -> bool:
    same_host = (url.scheme, url.netloc) == (prefix.scheme, prefix.netloc) and url.netloc != ""
    folder = prefix.path.rstrip("/") + "/"
    # A path that a server might resolve or decode to another one is refused.
    plain = not any(mark in url.path for mark in ("/..", "/./", "//", "%2e", "%2E", "%2f", "%2F"))
    return same_host and plain and "\\" not in url.geturl() and url.path.startswith(folder)
