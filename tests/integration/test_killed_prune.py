"""A process that prunes submissions is killed at each moment; a later run completes its work."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.integration.killable_processes import fork_server
from tests.moments import STEP
from tests.submission_queue.test_prune import delete_stored_files, finished
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.prune import Selection, prune_submissions

JOB = "tests.integration.subprocess_jobs.prune_until_killed"
KILLED = -signal.SIGKILL
SUBMISSIONS = 3


@pytest.mark.parametrize("archive", [False, True])
def test_killed_prune_is_completed_by_the_next_one(transactional_db, settings, archive):
    """A submission is either in all tables or in none of them, after each kill."""
    settings.XQUEUE_BRIDGE = {}
    ends, moment, made = [KILLED], 1, 0
    with fork_server() as processes:
        while ends[-1] == KILLED:
            made += len(finished(SUBMISSIONS - Submission.objects.count(), files=1))
            ends.append(processes.run(JOB, moment=moment, archive=archive))
            moment += STEP
            left = Submission.objects.count()
            assert SubmissionContent.objects.count() == ReceivedReply.objects.count() == left
            kept = ArchivedSubmission.objects.filter(is_deleted=False).count()
            assert kept == (made - left if archive else 0)
    assert ends[-1] == 0
    assert moment > 20
    year = Selection(timezone.now() - timedelta(days=365))
    sum(prune_submissions(year, archive=archive), Counter())
    assert Submission.objects.count() == 0
    assert ArchivedSubmission.objects.count() == (made if archive else 0)
    delete_stored_files()
