"""Signals that host projects may subscribe to.

All except ``scores_saving`` and ``SCORE_PUBLISHED`` are sent after commit with ``send_robust``, so
an exception in one receiver does not stop the others. The sender is the model class of the
signal's instance, unless upstream's signal defines another one. Names in capitals, and their
arguments, are upstream's; the bridge adds arguments and removes none.
"""

from django.dispatch import Signal

#: A grader's reply, or a failure reply of the bridge, was stored and is pending.
#: Arguments: ``reply_id`` (int), ``submission_id`` (int).
reply_received = Signal()

#: A reply was applied to the learner's state. Arguments: ``reply_id``, ``submission_id`` and
#: ``user_id`` (int), ``course_key``, ``usage_key``, ``dispatch`` (str), ``points`` (float, or None
#: for an ungraded response), ``max_points`` (float or None).
reply_applied = Signal()

#: A reply will not be applied to the learner's state. Arguments: ``reply_id`` (int), ``status``
#: (str: stale, rejected or dead), ``error`` (str: the reason, without any content).
reply_not_applied = Signal()

#: A submission has failed. Arguments: ``submission_id`` (int), ``reason`` (str).
submission_failed = Signal()

#: A grader's replies in a queue were all invalid, so it gets no submissions for ``seconds``.
#: Arguments: ``grader_id`` (int), ``queue_name`` (str), ``seconds`` (float), ``invalid_replies``
#: (int: how many in a row).
grader_paused = Signal()

#: The bridge's client wrote a learner's state at a block. Arguments: ``user_id``
#: (int), ``usage_key``, ``waiting_keys`` (frozenset of the queue keys the state waits for),
#: ``released_keys`` (frozenset of those that only the state before waited for).
state_saved = Signal()

#: A learner's fields and score at a block were deleted. Arguments: ``user_id`` (int),
#: ``course_key``, ``usage_key``.
state_deleted = Signal()

#: Learners' scores at blocks are being written, one or many. Sent with ``send`` inside the
#: transaction, for rows in the same database that must commit or roll back with the scores.
#: Arguments: ``scores`` (list of ``xqueue_bridge.data.SavedScore``).
scores_saving = Signal()

#: A learner's score at a block has changed. Arguments: ``user_id`` (int), ``course_key``,
#: ``usage_key``, ``earned`` and ``possible`` (float or None; points before the block's weight),
#: ``version`` (int or None), ``modified`` (aware datetime), ``only_if_higher``,
#: ``score_deleted``, ``grader_response`` (bool).
score_saved = Signal()

#: Sent by a host when a block publishes a score, which the bridge stores. Arguments: ``block``,
#: ``user``, ``raw_earned``, ``raw_possible``, ``only_if_higher``; optional: ``score_deleted``,
#: ``grader_response``. The bridge's receiver returns whether it wrote the score.
SCORE_PUBLISHED = Signal()

#: A learner's score at a block has changed, in the block's own points. Arguments:
#: ``raw_earned``, ``raw_possible``, ``weight`` (float or None), ``user_id`` (int), ``course_id``,
#: ``usage_id`` (str), ``only_if_higher``, ``modified``, ``score_db_table`` (str),
#: ``score_deleted``, ``grader_response``, ``version``.
PROBLEM_RAW_SCORE_CHANGED = Signal()

#: The same, in points after the block's weight: ``weighted_earned``, ``weighted_possible``
#: instead of the first three.
PROBLEM_WEIGHTED_SCORE_CHANGED = Signal()

#: A learner's stored grade in a subsection has changed. Arguments: ``course``,
#: ``course_structure`` (both the bridge's Course), ``user``, ``subsection_grade``.
SUBSECTION_SCORE_CHANGED = Signal()

#: A learner's course grade was computed and committed. The receivers send the signals below, and
#: enqueue the grade for Credentials. Arguments: ``update`` (GradeUpdate), ``user`` (the learner,
#: or None if it was not loaded).
grade_updated = Signal()

#: A learner's course grade was computed, and may have changed. Arguments: ``user``,
#: ``course_grade``, ``course_key``, ``deadline`` (the course's end). Added by the bridge:
#: ``user_id`` (int), ``changed`` (bool), ``previous_passed`` (bool; None: there was no grade),
#: ``transition`` ("passed", "failed", or None: no change).
COURSE_GRADE_CHANGED = Signal()

#: The learner's grade is a pass. Sender: CourseGradeFactory. Arguments: ``user``, ``course_id``.
#: Added by the bridge: ``user_id``, ``changed``, ``previous_passed``, ``transition``.
COURSE_GRADE_NOW_PASSED = Signal()

#: The grade is not a pass. Like COURSE_GRADE_NOW_PASSED, with ``grade`` (the course grade).
COURSE_GRADE_NOW_FAILED = Signal()

#: The learner has passed the course for the first time; sent once per learner and course.
#: Arguments: ``course_id``, ``user_id``.
COURSE_GRADE_PASSED_FIRST_TIME = Signal()

#: A new version of a course's structure was published. Arguments: ``course_key``, ``version``
#: (str), ``previous_version`` (str, or None for a new course), ``policy_changed``
#: (bool: the grading policy differs).
course_published = Signal()
