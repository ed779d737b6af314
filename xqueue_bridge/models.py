"""Imports of all models, for Django's model discovery. Each is defined in its subpackage."""

from xqueue_bridge.alerts.models import Alert
from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
    PersistentSubsectionGradeOverrideHistory,
    VisibleBlocks,
)
from xqueue_bridge.course_structure.models import CourseStructureVersion
from xqueue_bridge.credentials.models import GradeOutbox, GradeOutboxCursor
from xqueue_bridge.grader_replies.models import BlockLock, ReceivedReply, ReplyCodeCount
from xqueue_bridge.learner_state.crawlers import CrawlersConfig
from xqueue_bridge.learner_state.fields.models import (
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from xqueue_bridge.learner_state.history.models import (
    StudentModuleHistory,
    StudentModuleHistoryExtended,
)
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission
from xqueue_bridge.submission_queue.grader_models import (
    Grader,
    GraderPause,
    GraderSecret,
    QueueGrant,
    RevokedSession,
)
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.priority_models import Priority
from xqueue_bridge.submission_queue.queue_models import QueuePause, QueueSettings
from xqueue_bridge.worker.models import Heartbeat
from xqueue_bridge.xqueue_service.models import TransportOverride

__all__ = [
    "Alert",
    "ArchivedSubmission",
    "BlockLock",
    "CourseStructureVersion",
    "CrawlersConfig",
    "GradeOutbox",
    "GradeOutboxCursor",
    "GradeRecalculation",
    "Grader",
    "GraderPause",
    "GraderSecret",
    "Heartbeat",
    "OperatorAction",
    "PersistentCourseGrade",
    "PersistentSubsectionGrade",
    "PersistentSubsectionGradeOverride",
    "PersistentSubsectionGradeOverrideHistory",
    "Priority",
    "QueueGrant",
    "QueuePause",
    "QueueSample",
    "QueueSettings",
    "ReceivedReply",
    "Regrade",
    "RegradeItem",
    "ReplyCodeCount",
    "RetiredLearner",
    "RevokedSession",
    "ScoreLedger",
    "StudentModule",
    "StudentModuleHistory",
    "StudentModuleHistoryExtended",
    "Submission",
    "SubmissionContent",
    "TransportOverride",
    "VisibleBlocks",
    "XModuleStudentInfoField",
    "XModuleStudentPrefsField",
    "XModuleUserStateSummaryField",
]
