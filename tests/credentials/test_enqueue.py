"""Which grade changes are enqueued for Credentials, also those whose signal was lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tests.credentials.factories import COURSE, OTHER_COURSE, make_learner, row_of, store_grade
from tests.credentials.factories import enqueue as enqueue_grade
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.credentials import api, enqueue, outbox
from xqueue_bridge.credentials.models import GradeOutbox, GradeOutboxCursor

pytestmark = pytest.mark.django_db

#: What the host knows of certificates: learner -> mode and status.
CERTIFICATES: dict[int, tuple[str, str]] = {}


def certificate_decides(user_id: int, course_key) -> bool:
    """A host's rule, as the platform's."""
    return api.mode_and_status_are_interesting(*CERTIFICATES.get(user_id, (None, None)))


def rule_that_fails(user_id: int, course_key) -> bool:
    raise RuntimeError("secret")


@pytest.fixture
def rule(credentials, settings):
    """Let the host ask ``certificate_decides``, or another rule of this file."""

    def use(name: str) -> None:
        options = {**credentials.settings, "GRADE_FILTER": f"{__name__}.{name}"}
        settings.XQUEUE_BRIDGE = {"CREDENTIALS": options}

    CERTIFICATES.clear()
    use("certificate_decides")
    return use


def test_changed_grade_is_enqueued_with_its_version(credentials):
    """SG79: the row's id is returned; the row has the version of the grade."""
    learner = make_learner("ada")
    grade = store_grade(learner, 1 / 3, "")
    row_id = enqueue_grade(learner)
    row = row_of(learner)
    assert row_id == row.pk
    assert (row.status, row.wanted_version, row.sent_version) == ("pending", grade.version, None)
    assert row.next_attempt_at <= timezone.now()


def test_unchanged_grade_is_not_enqueued_again(credentials):
    """SG67: a grade that did not change is not enqueued again."""
    learner = make_learner()
    store_grade(learner)
    assert enqueue_grade(learner)
    GradeOutbox.objects.update(status="sent", next_attempt_at=None)
    enqueue_grade(learner)
    assert row_of(learner).status == "sent"


def test_new_grade_makes_a_failed_row_pending_with_0_attempts(credentials):
    learner, other = make_learner(), make_learner("bob")
    for each in (learner, other):
        store_grade(each)
        enqueue_grade(each)
    GradeOutbox.objects.update(
        status="failed", next_attempt_at=None, attempts=11, last_error="HTTP 400"
    )
    grade = store_grade(learner, 0.9)
    assert enqueue_grade(learner)
    assert (row_of(other).status, row_of(other).attempts) == ("failed", 11)
    row = row_of(learner)
    assert (row.status, row.attempts, row.wanted_version, row.last_error) == (
        "pending",
        0,
        grade.version,
        "",
    )
    assert row.next_attempt_at


def test_grade_created_again_with_the_sent_version_is_enqueued(credentials):
    """The version begins at 1 again, but the time differs from that of the sent grade."""
    learner = make_learner()
    store_grade(learner)
    enqueue_grade(learner)
    GradeOutbox.objects.update(status="sent", next_attempt_at=None, sent_version=1)
    PersistentCourseGrade.objects.all().delete()
    grade = store_grade(learner, 0.9)
    assert grade.version == 1
    assert enqueue_grade(learner)
    assert row_of(learner).wanted_modified == grade.modified


def test_changed_grade_keeps_the_time_of_the_next_attempt(credentials):
    """SG80: after an error of the service a changed grade is not sent sooner."""
    learner = make_learner()
    store_grade(learner)
    enqueue_grade(learner)
    later = timezone.now() + timedelta(minutes=5)
    GradeOutbox.objects.update(next_attempt_at=later, attempts=4)
    store_grade(learner, 0.9)
    enqueue_grade(learner)
    row = row_of(learner)
    assert (row.next_attempt_at, row.attempts) == (later, 0)


def test_grade_changed_during_a_send_keeps_the_claim(credentials):
    """SG81: the row keeps status and claim of its sender, and gets the new version."""
    learner = make_learner()
    store_grade(learner)
    enqueue_grade(learner)
    row = row_of(learner)
    assert outbox.claim(row)
    grade = store_grade(learner, 0.9)
    enqueue_grade(learner)
    now = row_of(learner)
    assert (now.status, now.next_attempt_at, now.attempts) == ("sending", row.next_attempt_at, 0)
    assert now.wanted_version == grade.version


class TestNotEnqueued:
    """Grades that are not sent to Credentials."""

    def test_no_row_without_the_setting(self, settings):
        """SG83: without the setting the filter is not called and no row is written."""
        settings.XQUEUE_BRIDGE = {}
        learner = make_learner()
        store_grade(learner, modified=timezone.now() - timedelta(hours=1))
        assert enqueue_grade(learner) is None
        assert api.enqueue_missed() == 0
        assert not GradeOutbox.objects.exists()

    @pytest.mark.parametrize(
        ("certificate", "is_sent"),
        [
            (("verified", "downloadable"), True),
            (("verified", "notpassing"), True),
            (("masters", "downloadable"), True),
            (("no-id-professional", "notpassing"), True),
            (("audit", "downloadable"), False),
            (("honor", "notpassing"), False),
            (("verified", "audit_notpassing"), False),
            (("verified", "unavailable"), False),
            (None, False),
        ],
    )
    def test_filter_takes_certificates_by_mode_and_status(self, rule, certificate, is_sent):
        """SG83: an uninteresting mode or status, or no certificate record, enqueues no grade."""
        learner = make_learner()
        if certificate:
            CERTIFICATES[learner] = certificate
        store_grade(learner)
        assert bool(enqueue_grade(learner)) is is_sent
        assert GradeOutbox.objects.exists() is is_sent

    def test_learner_without_a_stored_grade_is_not_enqueued(self, credentials):
        """SG83: no zero is sent for a learner without a stored grade."""
        make_learner()
        assert api.enqueue_missed() == 0
        assert not GradeOutbox.objects.exists()


def test_filter_that_raises_gives_a_failed_row(rule, caplog):
    """An operator finds the grade among the failed ones; the exception's text is not logged."""
    rule("rule_that_fails")
    learner = make_learner()
    store_grade(learner)
    enqueue_grade(learner)
    row = row_of(learner)
    assert (row.status, row.last_error, row.next_attempt_at) == (
        "failed",
        "GRADE_FILTER: RuntimeError",
        None,
    )
    assert "secret" not in caplog.text
    assert f"GRADE_FILTER for learner {learner} in {COURSE}: RuntimeError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_rolled_back_transaction_leaves_no_row(credentials):
    """SG84: the row is rolled back with the grade, and nothing is sent."""
    learner = make_learner()
    with transaction.atomic():
        store_grade(learner)
        assert enqueue_grade(learner)
        transaction.set_rollback(True)
    assert not GradeOutbox.objects.exists()
    assert api.send_due() == 0
    assert credentials.posts == []


class TestMissed:
    """Changes whose signal was lost, because the process was killed after the commit."""

    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch):
        monkeypatch.setattr(enqueue, "COMMIT_GRACE", timedelta(0))

    def test_missed_changes_are_enqueued_once(self, credentials):
        """SG84, SG44: a committed grade is sent even if its signal was never sent."""
        enqueued, missed, changed = (make_learner(n) for n in ("enqueued", "missed", "changed"))
        for learner in (enqueued, missed, changed):
            store_grade(learner)
        for learner in (enqueued, changed):
            enqueue_grade(learner)
        latest = store_grade(changed, 0.9)
        assert api.enqueue_missed() == 2
        assert row_of(missed).status == "pending"
        assert row_of(changed).wanted_version == latest.version
        assert set(outbox.find_all([latest.stored_version])) == {(changed, COURSE)}
        assert api.enqueue_missed() == 0

    def test_filter_is_called_once_for_each_change(self, rule, monkeypatch):
        """Grades that the filter excludes do not delay those after them."""
        filtered = []
        monkeypatch.setattr(
            enqueue, "should_send", lambda user_id, *a: filtered.append(user_id) or False
        )
        same = timezone.now() - timedelta(minutes=1)
        learners = [make_learner(f"learner {n}") for n in range(5)]
        for learner in learners:
            store_grade(learner, modified=same)
        for _ in range(4):
            api.enqueue_missed(limit=2)
        assert filtered == learners

    def test_change_within_the_commit_grace_is_not_enqueued(self, credentials, monkeypatch):
        """Its signal may still be sent, and older changes may not be committed yet."""
        monkeypatch.setattr(enqueue, "COMMIT_GRACE", timedelta(seconds=60))
        learner = make_learner()
        store_grade(learner)
        assert api.enqueue_missed() == 0
        store_grade(learner, modified=timezone.now() - timedelta(seconds=61))
        assert api.enqueue_missed() == 1

    def test_first_run_enqueues_changes_of_the_last_day(self, credentials):
        """A site that adds the setting does not send the grades of all former years."""
        learner = make_learner()
        store_grade(learner, modified=timezone.now() - timedelta(days=2))
        store_grade(learner, course_key=OTHER_COURSE, modified=timezone.now() - timedelta(hours=2))
        assert api.enqueue_missed() == 1
        assert row_of(learner, OTHER_COURSE)

    @pytest.mark.parametrize("moved", [{"grade_id": 10**9}, {"modified": timezone.now()}])
    def test_cursor_that_another_process_has_moved_stays(self, credentials, monkeypatch, moved):
        """A slower process does not set the cursor back."""
        modified = timezone.now() - timedelta(hours=2)
        GradeOutboxCursor.objects.create(pk=GradeOutboxCursor.ONLY, modified=modified)
        find_all = outbox.find_all

        def move_and_find(grades):
            GradeOutboxCursor.objects.update(**moved)
            return find_all(grades)

        monkeypatch.setattr(outbox, "find_all", move_and_find)
        store_grade(make_learner(), modified=timezone.now() - timedelta(hours=1))
        assert api.enqueue_missed() == 1
        assert GradeOutboxCursor.objects.filter(**moved).exists()

    def test_changes_since_the_cursor_are_enqueued_after_30_days(self, credentials, settings):
        """Changes from the time without the setting are enqueued afterwards."""
        learner = make_learner()
        GradeOutboxCursor.objects.create(modified=timezone.now() - timedelta(days=30))
        store_grade(learner, modified=timezone.now() - timedelta(days=20))
        assert api.enqueue_missed() == 1

    def test_run_without_changes_takes_two_statements(self, credentials, django_assert_num_queries):
        api.enqueue_missed()
        with django_assert_num_queries(2):
            api.enqueue_missed()


@pytest.mark.django_db(transaction=True)
def test_enqueue_takes_one_to_four_statements(credentials, django_assert_num_queries):
    """The grade itself is not read: the caller has its key and version."""
    known, new = make_learner(), make_learner("bob")
    store_grade(known)
    store_grade(new)
    with django_assert_num_queries(4 + 2):  # SELECT; BEGIN, INSERT, COMMIT
        enqueue_grade(known)
    with django_assert_num_queries(3 + 2):  # without the SELECT
        enqueue_grade(new, is_first=True)
    with django_assert_num_queries(1 + 2):
        enqueue_grade(known)
    store_grade(known, 0.9)
    with django_assert_num_queries(2 + 2):  # 2 of the factory
        enqueue_grade(known)


@pytest.mark.django_db(transaction=True)
def test_insert_that_meets_another_row_updates_that_row(credentials, monkeypatch):
    """SG79: an INSERT that meets the row of another process enqueues the grade in that row."""
    learner = make_learner()
    store_grade(learner)
    row_id = enqueue_grade(learner)
    grade = store_grade(learner, 0.9)
    assert outbox.enqueue(grade.stored_version, None) == row_id
    assert row_of(learner).wanted_version == grade.version
    monkeypatch.setattr(outbox, "find", lambda *key: None)  # a retirement has deleted the row
    assert outbox.enqueue(grade.stored_version, None) is None
