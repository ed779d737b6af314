"""The platform's retirement pipeline retires what the bridge stores about a user."""

from __future__ import annotations

import pytest
from django.core.files.storage import storages

from tests.lms import stand_ins
from tests.submission_queue.factories import new_submission
from xqueue_bridge import handlers
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.exceptions import RetirementUnfinished
from xqueue_bridge.lms.retirement import retire_signal
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import SubmissionContent


@pytest.fixture
def platform(monkeypatch) -> stand_ins.Platform:
    """An LMS whose signal is connected, as AppConfig.ready() does it."""
    found = stand_ins.install(monkeypatch)
    with monkeypatch.context() as at_start:
        stand_ins.add_installed_apps(at_start, stand_ins.COURSEWARE)
        handlers.connect_all()
        assert retire_signal() is found.user_retired
    return found


@pytest.fixture
def learner(django_user_model, db):
    return django_user_model.objects.create_user("learner")


def submit(user_id: int) -> None:
    from io import BytesIO

    file = UploadedFile("a.py", BytesIO(b"print(1)"), 8)
    submission_queue.enqueue(new_submission(user_id=user_id, body="her work", files=(file,)))


def test_user_is_retired_with_the_platform_s_signal(platform, learner):
    """C125: USER_RETIRE_LMS_MISC has one argument, the user."""
    submit(learner.pk)
    platform.user_retired.send(sender=object, user=learner)
    content = SubmissionContent.objects.get()
    assert (content.body, content.header) == ("", "")
    assert [stored.name for stored in content.stored_files() if stored.name] == []


def test_failed_retirement_fails_the_pipeline_s_request(platform, learner, monkeypatch):
    """The pipeline repeats a step whose view has failed."""
    submit(learner.pk)

    def delete(name: str) -> None:
        raise OSError

    monkeypatch.setattr(storages["xqueue_bridge"], "delete", delete)
    with pytest.raises(RetirementUnfinished):
        platform.user_retired.send(sender=object, user=learner)


def test_no_signal_elsewhere():
    assert retire_signal() is None
