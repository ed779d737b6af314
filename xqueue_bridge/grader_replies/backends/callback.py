"""ReplyBackend "callback": posts the reply to the LMS's callback URL, as an XQueue server does."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

import requests
from django.utils import timezone
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException

from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, ReplyToApply
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies.parsing import write_reply
from xqueue_bridge.grader_replies.scoring import points_of

TIMEOUT = (3.05, 10)  # seconds to connect, seconds between bytes
#: The LMS acknowledges a reply that its state does not wait for yet, and forgets it. So none is
#: posted sooner after the send than a block's save may take.
HOLD = timedelta(seconds=2)
#: The LMS knows neither the learner nor the block, and will not soon.
GONE = frozenset({404, 410})


class CallbackBackend:
    """For an LMS in another process, whose state is out of our sight.

    ``applied`` means that the LMS acknowledged; it does the same for a reply that it no longer
    waits for.
    """

    in_transaction = False
    recheck_seconds = None

    def record(self, delivery: ReplyToApply) -> ApplyResult:
        """Post ``delivery``: the header as it came, the reply cleaned and within its points."""
        url = _callback_url(delivery)
        if timezone.now() - delivery.sent_at < HOLD:
            raise TransientApplyError("The learner's state may not be saved yet.")
        body = write_reply(delivery.reply, score=_points(delivery))
        try:
            with requests.post(
                url,
                data={"xqueue_header": delivery.header, "xqueue_body": body},
                timeout=TIMEOUT,
                allow_redirects=False,  # followed, it would become a GET
                stream=True,  # only the status counts
            ) as response:
                status = response.status_code
        except (InvalidSchema, InvalidURL, MissingSchema):
            # "from None": requests puts the address, with the learner's id, into its messages.
            raise PermanentApplyError("The callback URL is not one.") from None
        except RequestException as exc:
            raise TransientApplyError(f"No answer: {type(exc).__name__}") from None
        if status in GONE:
            raise PermanentApplyError(f"The LMS answered {status}.")
        if status != 200:
            raise TransientApplyError(f"The LMS answered {status}.")
        return ApplyResult(applied=True)


def _points(delivery: ReplyToApply) -> float:
    """The answer's points, as far as they are known: the queue key does not name the answer."""
    worths = set(delivery.points.values())
    if delivery.score_is_fraction and len(worths) != 1:
        raise PermanentApplyError(
            "A fraction of unknown points: set this queue's SCORE_SCALE to 'points'."
        )
    maximum = max(worths, default=None)
    return points_of(delivery.reply, maximum, is_fraction=delivery.score_is_fraction)


def _callback_url(delivery: ReplyToApply) -> str:
    """Return the header's URL if it is one that we may post to."""
    try:
        url = json.loads(delivery.header)["lms_callback_url"]
        parts = urlsplit(url)
        allowed = any(_is_below(parts, urlsplit(prefix)) for prefix in options().CALLBACK_PREFIXES)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise PermanentApplyError("The header has no callback URL.") from None
    if not allowed:
        raise PermanentApplyError(
            "The callback URL is below none of XQUEUE_BRIDGE['CALLBACK_PREFIXES']."
        )
    if parts.path.rsplit("/", 1)[-1] != delivery.target.dispatch:
        raise PermanentApplyError("The callback URL has another dispatch.")
    return url


def _is_below(url: SplitResult, prefix: SplitResult) -> bool:
    same_host = (url.scheme, url.netloc) == (prefix.scheme, prefix.netloc) and url.netloc != ""
    folder = prefix.path.rstrip("/") + "/"
    # What a server might resolve or decode to another path is not compared, but refused.
    plain = not any(mark in url.path for mark in ("/..", "/./", "//", "%2e", "%2E", "%2f", "%2F"))
    return same_host and plain and "\\" not in url.geturl() and url.path.startswith(folder)
