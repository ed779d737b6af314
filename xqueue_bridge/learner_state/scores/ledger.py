"""Apply externally graded scores exactly once, keyed by ``idempotency_key``.

The ledger's row is inserted first, in the same transaction as the score. Its key is unique, so of
two processes with the same reply one waits for the other, and then finds the reply applied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.merge import upsert
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state.encoding import encode
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.row import RawScore, StudentModuleRow, finite
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.learner_state.student_module import lock_or_create, lock_row
from xqueue_bridge.learner_state.write import UnknownLearner, save_rows
from xqueue_bridge.lms.capa import waiting_answers
from xqueue_bridge.lms.users import user_exists

Outcome = ScoreLedger.Outcome
State = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LedgerResult:
    """The outcome of a reply; ``repeated``: an earlier call had this outcome; nothing was done."""

    outcome: ScoreLedger.Outcome
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Application:
    """The conditions and effects of ``apply_score`` besides the score itself."""

    expected_queue_key: str | None
    only_if_higher: bool
    patch_state: Callable[[State], State] | None
    reason: Reason


def apply_score(
    idempotency_key: str,
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    earned: float,
    possible: float,
    *,
    expected_queue_key: str | None = None,
    attempt: int | None = None,
    only_if_higher: bool = False,
    patch_state: Callable[[State], State] | None = None,
    digest: str = "",
    reason: Reason = Reason.REPLY,
) -> LedgerResult:
    """Set the learner's score to ``earned`` of ``possible`` points unless the ledger forbids it.

    For hosts whose scores come from elsewhere than our graders. Points below 0 count as 0, above
    ``possible`` as ``possible``; values that are not finite, a negative ``possible`` and an
    unknown learner are rejected. Stale: the state does not wait for ``expected_queue_key``, or a
    higher ``attempt`` at the block was applied. Duplicate: the same ``attempt`` with the same
    ``digest`` was applied under another key. Lower: ``only_if_higher``, and the learner's share
    of the points is higher; an equal share is replaced.

    ``patch_state`` computes the new state from the old one; state, score and history are one
    write. An outcome is final, and a success for the sender of the score; an exception (the
    database's own) is not, and then nothing is stored. Eight statements at most, plus those of
    the receivers of ``scores_saving``.
    """
    score = clamped(earned, possible)
    now = timezone.now()
    entry = ScoreLedger(
        idempotency_key=idempotency_key,
        user_id=user_id,
        course_key=course_key,
        usage_key=usage_key,
        outcome=Outcome.APPLIED,
        attempt=attempt,
        earned=finite(earned),
        possible=finite(possible),
        digest=digest,
        created=now,
        modified=now,
    )
    how = _Application(expected_queue_key, only_if_higher, patch_state, reason)
    return in_transaction(partial(_apply_once, entry, score, how))


def publish_score(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    earned: float | None,
    possible: float | None,
    *,
    only_if_higher: bool = False,
) -> bool:
    """Store a score that the block itself has computed; return whether it was stored.

    Points below 0 count as 0, above ``possible`` as ``possible``. Not stored: an unchanged score,
    one that is not finite or has a negative ``possible``, or with ``only_if_higher`` a lower share
    of the points. Raises ``UnknownLearner``, and ValueError or TypeError for a value that is no
    number.
    """
    score = _as_published(earned, possible)
    if score is None:
        return False

    def work() -> bool:
        row = lock_or_create(user_id, course_key, usage_key)
        if row.score == score or (only_if_higher and not is_as_high(score, row.score)):
            return False
        row.grade, row.max_grade = score
        save_rows([row], Reason.SCORE, only_if_higher=only_if_higher)
        return True

    return in_transaction(work)


def record_outcomes(entries: Sequence[ScoreLedger]) -> None:
    """Store the outcomes of replies that another component applied or refused; one statement.

    Replaces an earlier outcome of the same key, because a reply can be retried with success.
    """
    now = timezone.now()
    for entry in entries:
        entry.created = entry.modified = now
    upsert(entries, key=["idempotency_key"], fields=["outcome", "earned", "possible", "modified"])


def delete_outcomes(idempotency_keys: Collection[str]) -> int:
    """Delete the ledger's rows of these keys; return their number."""
    return ScoreLedger.objects.filter(idempotency_key__in=idempotency_keys).delete()[0]


def record_duplicate(idempotency_key: str) -> bool:
    """Count a repeated reply; return whether the ledger has its key."""
    found = ScoreLedger.objects.filter(idempotency_key=idempotency_key)
    return bool(found.update(duplicate_count=F("duplicate_count") + 1, modified=timezone.now()))


def clamped(earned: float, possible: float) -> RawScore | None:
    """Return points that can be stored; None if the values are invalid."""
    if not RawScore(earned, possible).is_finite or possible < 0:
        return None
    return RawScore(min(max(earned, 0), possible), possible)


def _as_published(earned: float | None, possible: float | None) -> RawScore | None:
    """Return a block's points, which may be of any number type, as a RawScore; None if invalid."""
    try:
        earned, possible = (None if each is None else float(each) for each in (earned, possible))
    except OverflowError:
        return None
    if earned is None or possible is None:
        score = RawScore(earned, possible)
        return score if score.is_finite else None
    return clamped(earned, possible)


def is_as_high(new: RawScore, old: RawScore) -> bool:
    """Return whether the new share of the points is at least the old one; 0 of 0 is 0."""
    return old.earned is None or _share(new) >= _share(old)


def _share(score: RawScore) -> float:
    return (score.earned or 0) / score.possible if score.possible else 0.0


def _duplicate_of(idempotency_key: str) -> LedgerResult:
    record_duplicate(idempotency_key)
    first = ScoreLedger.objects.values_list("outcome", flat=True).get(
        idempotency_key=idempotency_key
    )
    return LedgerResult(Outcome(first), repeated=True)


def _apply_once(entry: ScoreLedger, score: RawScore | None, how: _Application) -> LedgerResult:
    # A second transaction may insert the row again, after a deadlock of the first one.
    entry.pk = None
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError:
        return _duplicate_of(entry.idempotency_key)
    outcome = Outcome.REJECTED if score is None else _apply(entry, score, how)
    if outcome != Outcome.APPLIED:
        ScoreLedger.objects.filter(pk=entry.pk).update(outcome=outcome)
    return LedgerResult(outcome)


def _apply(entry: ScoreLedger, score: RawScore, how: _Application) -> ScoreLedger.Outcome:
    row = _lock(entry, create=how.expected_queue_key is None)
    if row is None:
        return Outcome.STALE if user_exists(entry.user_id) else Outcome.REJECTED
    fields = row.fields()
    if how.expected_queue_key is not None and how.expected_queue_key not in waiting_answers(fields):
        return Outcome.STALE
    outcome = _newer_attempt(entry)
    if outcome is not None:
        return outcome
    if how.only_if_higher and not is_as_high(score, row.score):
        return Outcome.LOWER
    if how.patch_state:
        row.state = encode(how.patch_state(fields))
    row.grade, row.max_grade = score
    save_rows([row], how.reason, only_if_higher=how.only_if_higher)
    return Outcome.APPLIED


def _lock(entry: ScoreLedger, *, create: bool) -> StudentModuleRow | None:
    """Lock the learner's row at the entry's block; return None if there is none."""
    lock = lock_or_create if create else lock_row
    try:
        return lock(entry.user_id, entry.course_key, entry.usage_key)
    except UnknownLearner:
        return None


def _newer_attempt(entry: ScoreLedger) -> ScoreLedger.Outcome | None:
    """Return the outcome of an attempt that is too late; call it under the learner's row lock."""
    ours = entry.attempt
    if ours is None:
        return None
    others = ScoreLedger.objects.filter(
        user_id=entry.user_id,
        usage_key=entry.usage_key,
        course_key=entry.course_key,
        outcome=Outcome.APPLIED,
        attempt__gte=ours,
    ).exclude(idempotency_key=entry.idempotency_key)
    same = False
    for attempt, digest in others.values_list("attempt", "digest"):
        if attempt is not None and attempt > ours:
            return Outcome.STALE
        same = same or (digest == entry.digest != "")
    return Outcome.DUPLICATE if same else None
