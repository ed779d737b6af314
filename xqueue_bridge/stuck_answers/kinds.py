"""The kinds of stuck answers, and what a repair did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.data import Target
from xqueue_bridge.learner_state.api import WaitingAnswer


class Kind(TextChoices):
    """Why no reply will come."""

    LOST = "lost", _("its submission is not stored")
    NO_REPLY = "no_reply", _("its submission ended, but no reply is stored")
    NOT_APPLIED = "not_applied", _("its reply is stored, but not in the learner's state")
    FAILED = "failed", _("its submission failed, but the learner was not told")
    REGRADE = "regrade", _("it waits for a regrade that has ended")


class Outcome(TextChoices):
    """What the repair of one answer did."""

    OFFERED = "offered", _("graders are offered it again")
    APPLIED = "applied", _("the stored reply was applied")
    PENDING = "pending", _("the stored reply will be applied soon")
    ENDED = "ended", _("the learner was told, and can submit again")
    NOT_REPAIRED = "not_repaired", _("it still waits")


#: What a repair will do, for each outcome that it aims at.
PLANS = {
    Outcome.OFFERED: _("It is offered to graders again."),
    Outcome.APPLIED: _("The stored reply is applied."),
    Outcome.ENDED: _("The learner is told, and can submit again."),
}


@dataclass(frozen=True, slots=True)
class StuckAnswer:
    """A learner's answer that waits for a reply which no row will bring.

    ``can_offer``: its submission is stored with what the learner sent.
    """

    waiting: WaitingAnswer
    kind: Kind
    submission_id: int | None = None
    can_offer: bool = False

    @property
    def row_id(self) -> int:
        return self.waiting.row_id

    @property
    def target(self) -> Target:
        return self.waiting.target

    @property
    def queue_key(self) -> str:
        return self.waiting.queue_key

    @property
    def since(self) -> datetime:
        return self.waiting.since

    @property
    def repair(self) -> Outcome:
        """The outcome that a repair aims at."""
        if self.kind in (Kind.NOT_APPLIED, Kind.REGRADE):
            return Outcome.APPLIED
        return Outcome.OFFERED if self.can_offer else Outcome.ENDED

    @property
    def plan(self) -> str:
        """What a repair will do, unless something arrives meanwhile."""
        return str(PLANS[self.repair])


@dataclass(frozen=True, slots=True)
class Repaired:
    """A stuck answer with the outcome of its repair; ``reason`` says why it still waits."""

    answer: StuckAnswer
    outcome: Outcome
    reason: str = ""
