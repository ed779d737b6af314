"""A result that a grader posts to the real edx-submissions, and its event."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from rest_framework.test import APIRequestFactory, force_authenticate
from submissions.models import ExternalGraderDetail
from submissions.views.xqueue import XQueueViewSet

from tests.grader_replies.factories import BLOCK, COURSE, GOOD, make_learner, make_state
from tests.moving.test_edx_submissions import make_row
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import legacy

pytestmark = pytest.mark.django_db(transaction=True)


def post_result(row: ExternalGraderDetail) -> dict[str, object]:
    """Post a result as upstream's grader does."""
    header = {"submission_id": row.submission_id, "submission_key": row.pullkey}
    form = {"xqueue_header": json.dumps(header), "xqueue_body": GOOD}
    request = APIRequestFactory().post("/xqueue/put_result/", form, format="json")
    user, _ = get_user_model().objects.get_or_create(username="upstream-grader")
    user.groups.add(Group.objects.get_or_create(name="xqueue")[0])
    force_authenticate(request, user)
    return XQueueViewSet.as_view({"post": "put_result"})(request).data


def pulled_row(user_id: int) -> ExternalGraderDetail:
    fields = {"status": "pulled", "pullkey": "k", "queue_key": "key-1"}
    return make_row(user_id, student=str(user_id), item=str(BLOCK), **fields)


def test_result_of_an_upstream_grader_is_applied_once(connect):
    """C28, C131: a course whose answers wait in edx-submissions gets each result once."""
    connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
    ada = make_learner()
    make_state(ada)
    row = pulled_row(ada)
    assert post_result(row) == {"return_code": 0, "content": ""}
    row.refresh_from_db()
    assert row.status == "retired"
    assert learner_state.read_state(ada, BLOCK, COURSE)["score"]["raw_earned"] == 1
    assert ReceivedReply.objects.get().status == "applied"


def test_result_that_we_cannot_store_is_not_lost(connect, monkeypatch):
    """Upstream's transaction is rolled back, and its grader may post the result again."""
    connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
    ada = make_learner()
    row = pulled_row(ada)
    with monkeypatch.context() as full:
        full.setattr(legacy, "MAX_UNMATCHED_AT_BLOCK", 0)
        with pytest.raises(ValueError, match="transition"):
            post_result(row)
    row.refresh_from_db()
    assert (row.status, row.pullkey) == ("pulled", "k")
    make_state(ada)
    post_result(row)
    assert ReceivedReply.objects.get().status == "applied"
