"""The status of a learner's answers at one block: as a part of a page, and as JSON."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import gateway_options
from xqueue_bridge.submission_queue.api import AnswerStatus, Stage, newest_answers
from xqueue_bridge.views.decorators import current_user_id
from xqueue_bridge.views.learner.answers import ShownAnswer, shown
from xqueue_bridge.views.learner.texts import warning_text
from xqueue_bridge.views.learners import MAX_KEY_LENGTH

#: Seconds for which the status of open answers is cached, for each learner and block.
CACHE_SECONDS = 2
#: Seconds from one request of a page to the next: the shortest, and the longest.
SHORTEST_REFRESH, LONGEST_REFRESH = 3, 60
#: Requests of a page in the shortest expected time to the grade.
REQUESTS = 5


class StatusResponse(JsonResponse):
    """A status; ``learner_id`` says to the gateway whose."""

    learner_id: int | None = None


def learner_status(user_id: int, usage_key: UsageKey) -> dict[str, object]:
    """Return the JSON that the script of the status gets, in the active language.

    ``refresh_seconds`` is None if nothing changes until the learner submits again. Open answers are
    cached for CACHE_SECONDS, so a page that asks more often costs no statement. Else the statements
    of ``newest_answers``, and those of SHOW_RESULTS if one is graded.
    """
    name = sha256(f"{user_id} {usage_key} {get_language()}".encode()).hexdigest()
    cache, key = BestEffortCache(), f"xqueue_bridge:status:{name}"
    found: dict[str, Any] | None = cache.get(key)
    if found is None:
        found = _as_json(shown(user_id, newest_answers(user_id, usage_key)))
        if found["refresh_seconds"] is not None:
            cache.set(key, found, CACHE_SECONDS)
    return found


def status_context(user_id: int, usage_key: UsageKey) -> dict[str, object]:
    """Return the context of ``_learner_status.html``."""
    answers = shown(user_id, newest_answers(user_id, usage_key))
    gateway = gateway_options()
    return {
        "answers": answers,
        "announcement": _announcement(answers),
        "usage_key": usage_key,
        "refresh_seconds": _refresh_seconds(answers),
        "has_events": gateway is not None and gateway.LEARNER_EVENTS,
    }


@never_cache
@require_GET
def status_json(request: HttpRequest, usage_id: str) -> JsonResponse:
    """Send the signed-in learner's own status at a block; 403 without a user."""
    user = request.user
    if not (user.is_authenticated and user.is_active):
        raise PermissionDenied
    try:
        usage_key = UsageKey.from_string(usage_id[: MAX_KEY_LENGTH + 1])
    except InvalidKeyError:
        raise Http404 from None
    if len(usage_id) > MAX_KEY_LENGTH or "\0" in usage_id:
        raise Http404
    user_id = current_user_id(request)
    response = StatusResponse(learner_status(user_id, usage_key))
    response.learner_id = user_id
    return response


def _as_json(answers: list[ShownAnswer]) -> dict[str, object]:
    return {
        "refresh_seconds": _refresh_seconds(answers),
        "announcement": _announcement(answers),
        "html": render_to_string("xqueue_bridge/_answers.html", {"answers": answers}),
        "answers": [_one_as_json(each) for each in answers],
    }


def _one_as_json(answer: ShownAnswer) -> dict[str, object]:
    status = answer.status
    return {
        "submission": status.submission_id,
        "stage": status.stage,
        "headline": answer.headline,
        "lines": answer.lines,
        "sent_at": status.sent_at.isoformat(),
        "position": status.position,
        "has_grader": status.has_grader,
        "is_paused": status.is_paused,
        "expected_seconds": status.seconds,
        "points": answer.points,
        "possible": answer.possible,
        "correct": status.correct if answer.shows_result else None,
    }


def _announcement(answers: list[ShownAnswer]) -> str:
    """Return what a screen reader says when it changes: no positions, which change often."""
    found: list[str] = []
    for each in answers:
        status = each.status
        found += [f"{each.headline}.", warning_text(status.has_grader, status.is_paused)]
    return " ".join(text for text in dict.fromkeys(found) if text)


def _refresh_seconds(answers: list[ShownAnswer]) -> int | None:
    """Return when a page asks again: sooner if the grade is expected sooner."""
    waits = [_seconds_to_wait(each.status) for each in answers if not each.status.is_final]
    return min(waits, default=None)


def _seconds_to_wait(status: AnswerStatus) -> int:
    if status.stage in (Stage.GRADING, Stage.APPLYING):
        return SHORTEST_REFRESH
    if status.seconds is None:
        is_moving = status.has_grader and not (status.is_paused or status.is_regraded)
        soon = min(max(status.position or 0, SHORTEST_REFRESH), LONGEST_REFRESH // 4)
        return soon if is_moving else LONGEST_REFRESH
    return int(min(max(status.seconds[0] / REQUESTS, SHORTEST_REFRESH), LONGEST_REFRESH))
