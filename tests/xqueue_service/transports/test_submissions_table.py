"""Transport two: rows, complete or not at all, in few statements."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.utils import translation
from opaque_keys.edx.keys import UsageKey

from tests.doubles.problem_block import ANSWER_ID, USAGE_KEY, problem_block
from xqueue_bridge import XQueueInterface, XQueueService
from xqueue_bridge.data import Dispatch
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.xqueue_service.models import TransportOverride

BODY = '{"student_response": "print(1)"}'
FILES = [SimpleUploadedFile("a.py", b"print(1)"), SimpleUploadedFile("b.py", b"print(2)")]


class WatchedStorage(InMemoryStorage):
    """A private storage that remembers how much was published while it was writing."""

    published: list[int] = []
    full_after: int | None = None

    def _save(self, name: str, content: Any) -> str:
        if self.full_after is not None and len(self.published) >= self.full_after:
            raise OSError("no space left")
        self.published.append(Submission.objects.count())
        return super()._save(name, content)

    def count(self) -> int:
        """Return how many files are stored, whatever folders are left."""
        return self._count("")

    def _count(self, folder: str) -> int:
        folders, files = self.listdir(folder)
        return len(files) + sum(self._count(f"{folder}/{name}".strip("/")) for name in folders)


@pytest.fixture
def storage(settings) -> WatchedStorage:
    settings.STORAGES = {
        **settings.STORAGES,
        "xqueue_bridge": {"BACKEND": f"{__name__}.WatchedStorage"},
    }
    WatchedStorage.published, WatchedStorage.full_after = [], None
    return storages["xqueue_bridge"]


def send(
    block: Any, *, key: str = "k", dispatch: str = "score_update", **files: Any
) -> tuple[int, str]:
    service = XQueueService(block)
    header = make_xheader(service.construct_callback(dispatch), key, "demo")
    interface = XQueueInterface(block=block, use_submission_service=True)
    return interface.send_to_queue(header=header, body=BODY, **files)


@pytest.mark.django_db
def test_submission_knows_where_it_came_from() -> None:
    """C8, C12: the block key, the queue key, and the points of each answer."""
    assert send(problem_block(points=10)) == (0, "1")
    [submission] = Submission.objects.all()
    assert submission.target.user_id == 7
    assert submission.target.usage_key == USAGE_KEY
    assert submission.target.course_key == USAGE_KEY.context_key
    assert submission.target.dispatch is Dispatch.SCORE_UPDATE
    assert (submission.queue_key, submission.queue_name) == ("k", "demo")
    assert submission.content.points == {ANSWER_ID: 10}


@pytest.mark.django_db
def test_trial_run_carries_its_dispatch() -> None:
    """C25: what is not to be graded says so."""
    send(problem_block(), dispatch="ungraded_response")
    assert Submission.objects.get().target.dispatch is Dispatch.UNGRADED_RESPONSE


@pytest.mark.django_db
def test_block_is_believed_before_its_header() -> None:
    """C12: only the dispatch is read from the header's URL; the keys are the block's own."""
    header = make_xheader("http://elsewhere.example.com/score_update", "k", "demo")
    interface = XQueueInterface(block=problem_block(), use_submission_service=True)
    assert interface.send_to_queue(header, BODY) == (0, "1")
    assert Submission.objects.get().usage_key == USAGE_KEY


@pytest.mark.django_db
def test_without_a_block_the_header_says_where() -> None:
    """C12: a caller that has no block is placed by its callback URL."""
    url = XQueueService(problem_block()).construct_callback()
    interface = XQueueInterface(use_submission_service=True)
    assert interface.send_to_queue(make_xheader(url, "k", "demo"), BODY) == (0, "1")
    assert Submission.objects.get().target.usage_key == USAGE_KEY
    assert Submission.objects.get().target.user_id == 7
    assert interface.send_to_queue(make_xheader("http://x/score_update", "k", "demo"), BODY) == (
        1,
        "lms_callback_url: is not a callback URL of the LMS",
    )


@pytest.mark.django_db
@pytest.mark.parametrize("user_id", [None, "", "student_1", -1, "²", "٣", 2.5])
def test_visitors_cannot_send(user_id: Any) -> None:
    """C9, C11: an answer of an anonymous learner is rejected."""
    error, msg = send(problem_block(user_id=user_id))
    assert (error, msg) == (1, "only a learner who is signed in can send an answer")
    assert not SubmissionContent.objects.exists()


@pytest.mark.django_db
def test_name_of_an_unknown_queue_is_in_a_translated_message(settings) -> None:
    """C11, C27: the queue's own exception is English; the learner reads a translation of it."""
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True}
    with translation.override("de"):
        assert send(problem_block()) == (1, "Warteschlange „demo“ nicht gefunden")


@pytest.mark.django_db
def test_problems_do_not_disturb_each_other() -> None:
    """C23: a learner's items at two problems both wait, however long their keys are."""
    course = f"{'Organisation' * 6}+{'Course' * 6}+2026"
    for name in ("first", "second"):
        usage_key = UsageKey.from_string(f"block-v1:{course}+type@problem+block@{name}")
        assert send(problem_block(usage_key), key=name)[0] == 0
    assert set(Submission.objects.values_list("status", flat=True)) == {"waiting"}


@pytest.mark.django_db
def test_parts_of_one_problem_are_items_of_their_own() -> None:
    """C24: two answers of one problem, sent one after the other, both wait."""
    send(problem_block(), key="part 1")
    send(problem_block(), key="part 2")
    waiting = Submission.objects.filter(status="waiting").order_by("pk")
    assert [item.queue_key for item in waiting] == ["part 1", "part 2"]


@pytest.mark.django_db
def test_published_only_when_complete(storage: WatchedStorage) -> None:
    """C19: while files are being stored there is nothing to pull."""
    assert send(problem_block(), files_to_upload=FILES) == (0, "1")
    assert storage.published == [0, 0]
    assert storage.count() == 2


@pytest.mark.django_db
def test_full_storage_leaves_nothing(storage: WatchedStorage) -> None:
    """C11: when the second file does not fit, the first is removed too."""
    WatchedStorage.full_after = 1
    assert send(problem_block(), files_to_upload=FILES) == (1, "the answer could not be stored")
    assert storage.count() == 0
    assert not SubmissionContent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("model", [SubmissionContent, Submission])
def test_failing_database_leaves_nothing(storage: WatchedStorage, monkeypatch, model) -> None:
    """C10, C11: whichever row is refused, neither rows nor files stay."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError("relation is read-only: secret detail")

    monkeypatch.setattr(model, "save", refuse)
    assert send(problem_block(), files_to_upload=FILES) == (1, "the answer could not be stored")
    assert storage.count() == 0
    assert not SubmissionContent.objects.exists()
    assert not Submission.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("files", [{}, {"files_to_upload": FILES}], ids=["textbox", "files"])
def test_statements_of_a_send(django_assert_num_queries, storage: WatchedStorage, files) -> None:
    """C8: four: the flag, the wide row, the row that publishes it, the queue's length."""
    block = problem_block(points=1)
    TransportOverride.objects.create(scope="site", use_submissions_table=True)
    header = make_xheader(XQueueService(block).construct_callback(), "k", "demo")
    with django_assert_num_queries(4 + 2 * len(files)):  # the storage double's own two counts
        assert XQueueService(block).interface.send_to_queue(header=header, body=BODY, **files) == (
            0,
            "1",
        )
