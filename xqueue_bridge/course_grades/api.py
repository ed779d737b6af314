"""Public API of the package: learners' course grades, and their recalculation."""

from xqueue_bridge.course_grades.course_grade import (
    CourseGrade,
    GradeUpdate,
    SubsectionOverride,
)
from xqueue_bridge.course_grades.course_grade_factory import CourseGradeFactory
from xqueue_bridge.course_grades.course_recalculation import (
    request_course,
    request_due_courses,
)
from xqueue_bridge.course_grades.grade_signals import send_grade_signals, send_score_signals
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.course_grades.overrides import (
    apply_pending_overrides,
    override_history,
    remove_override,
    set_override,
)
from xqueue_bridge.course_grades.persistence import read_course_row as read_stored_grade
from xqueue_bridge.course_grades.queries import (
    changed_grades,
    grades_by_key,
    read_gradebook,
    read_progress,
    stored_grades,
)
from xqueue_bridge.course_grades.recalculation import (
    is_frozen,
    recalculate_due,
    recalculate_learners,
    recalculate_requested,
)
from xqueue_bridge.course_grades.recalculation_queue import (
    request_grades,
    request_recalculation,
    retry_failed,
    unfinished,
    wanted_versions,
)
from xqueue_bridge.course_grades.retirement import grades_to_retire, retire_grades
from xqueue_bridge.course_grades.structure_report import summary, warnings

__all__ = [
    "CourseGrade",
    "CourseGradeFactory",
    "GradeUpdate",
    "PersistentCourseGrade",
    "SubsectionOverride",
    "apply_pending_overrides",
    "changed_grades",
    "grades_by_key",
    "grades_to_retire",
    "is_frozen",
    "override_history",
    "read_gradebook",
    "read_progress",
    "read_stored_grade",
    "recalculate_due",
    "recalculate_learners",
    "recalculate_requested",
    "remove_override",
    "request_course",
    "request_due_courses",
    "request_grades",
    "request_recalculation",
    "retire_grades",
    "retry_failed",
    "send_grade_signals",
    "send_score_signals",
    "set_override",
    "stored_grades",
    "summary",
    "unfinished",
    "wanted_versions",
    "warnings",
]
