"""Ground: the signals that host projects may subscribe to.

All but ``score_saving`` and ``SCORE_PUBLISHED`` are sent after commit with ``send_robust``: a
receiver that raises stops nobody else. The sender is the model class of the instance that the
signal carries, unless a signal of upstream's says otherwise. Names in capitals, and their
arguments, are upstream's; we add arguments, and take none away.
"""

from django.dispatch import Signal

#: A grader's reply, or our own failure notice, is stored and waits to be delivered.
#: Arguments: ``reply_id`` (int), ``submission_id`` (int).
reply_received = Signal()

#: A reply has reached the learner's state. Arguments: ``reply_id`` (int), ``user_id`` (int),
#: ``course_key``, ``usage_key``, ``dispatch`` (str), ``points`` (float, or None for an
#: ungraded response), ``max_points`` (float or None).
reply_applied = Signal()

#: A reply will not reach the learner's state. Arguments: ``reply_id`` (int), ``status`` (str:
#: stale, rejected or dead), ``problem`` (str: why, without any content).
reply_not_applied = Signal()

#: A submission was given up. Arguments: ``submission_id`` (int), ``reason`` (str).
submission_failed = Signal()

#: A learner's state at a block was written through our own client. Arguments: ``user_id``
#: (int), ``usage_key``, ``waiting_keys`` (frozenset of the queue keys the state waits for).
state_saved = Signal()

#: What a learner had at a block, fields and score, was deleted. Arguments: ``user_id`` (int),
#: ``course_key``, ``usage_key``.
state_deleted = Signal()

#: A learner's score at a block is being written: sent inside the transaction with ``send``, for
#: notes in the same database that must be kept or lost together with the score. Arguments:
#: ``user_id`` (int), ``course_key``, ``usage_key``, ``version`` (int: of the learner's row at
#: the block; None: the score is deleted).
score_saving = Signal()

#: A learner's score at a block has changed. Arguments: ``user_id`` (int), ``course_key``,
#: ``usage_key``, ``earned`` and ``possible`` (float or None; points before the block's weight),
#: ``version`` (int or None), ``modified`` (aware datetime), ``only_if_higher``,
#: ``score_deleted``, ``grader_response`` (bool).
score_saved = Signal()

#: A host sends it when a block publishes a score; we store that score. Arguments: ``block``,
#: ``user``, ``raw_earned``, ``raw_possible``, ``only_if_higher``; and ``score_deleted``,
#: ``grader_response`` if need be. Our receiver returns whether it wrote.
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
#: ``course_structure`` (both our Course), ``user``, ``subsection_grade``.
SUBSECTION_SCORE_CHANGED = Signal()

#: A learner's course grade was computed, and may have changed. Arguments: ``user``,
#: ``course_grade``, ``course_key``, ``deadline`` (the course's end); and ours: ``user_id`` (int),
#: ``changed`` (bool), ``previous_passed`` (bool; None: there was no grade), ``transition``
#: ("passed", "failed", or None: as before).
COURSE_GRADE_CHANGED = Signal()

#: The learner's grade is a pass. Sender: CourseGradeFactory. Arguments: ``user``, ``course_id``;
#: and ours: ``user_id``, ``changed``, ``previous_passed``, ``transition``.
COURSE_GRADE_NOW_PASSED = Signal()

#: The learner's grade is no pass. As COURSE_GRADE_NOW_PASSED, with ``grade`` (the course grade).
COURSE_GRADE_NOW_FAILED = Signal()

#: The learner has passed the course, and never had before: sent once for a learner and a course.
#: Arguments: ``course_id``, ``user_id``.
COURSE_GRADE_PASSED_FIRST_TIME = Signal()

#: Another version of a course's structure is current. Arguments: ``course_key``, ``version``
#: (str), ``previous_version`` (str, or None for a course that was not known), ``policy_changed``
#: (bool: the grading policy is another one).
course_published = Signal()
