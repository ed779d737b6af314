"""System checks of the settings, and the admin of the outbox."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.credentials.factories import COURSE, make_learner, row_of, store_grade
from tests.credentials.factories import enqueue as enqueue_grade
from tests.doubles.credentials import CLIENT_SECRET
from xqueue_bridge.checks.options import check_credentials, check_options
from xqueue_bridge.credentials import api
from xqueue_bridge.credentials.models import GradeOutbox

GOOD = {
    "URL": "https://credentials.example.com/api/v2",
    "TOKEN_URL": "https://lms.example.com/oauth2/access_token",
    "CLIENT_ID": "lms",
    "CLIENT_SECRET": "sssh",
}


def found(settings, value) -> dict[str, str]:
    settings.XQUEUE_BRIDGE = {"CREDENTIALS": value}
    messages = check_options() + check_credentials()
    return {m.id.removeprefix("xqueue_bridge."): f"{m.msg} {m.hint}" for m in messages}


@pytest.mark.parametrize(
    "value",
    [
        {},
        GOOD,
        {**GOOD, "TIMEOUT": 5},
        {**GOOD, "URL": "http://localhost:8150/api/v2"},
        {**GOOD, "GRADE_FILTER": "tests.credentials.test_enqueue.certificate_decides"},
        {**GOOD, "GRADE_FILTER": None},
    ],
)
def test_valid_settings_give_no_message(settings, value):
    assert found(settings, value) == {}


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        ([], "E001", "['CREDENTIALS'] is list, not Mapping"),
        ({**GOOD, "URI": "x"}, "E001", "['CREDENTIALS']['URI'] is not a setting"),
        ({**GOOD, "TIMEOUT": "5"}, "E001", "['CREDENTIALS']['TIMEOUT'] is str, not float"),
        ({**GOOD, "URL": ""}, "E020", "['CREDENTIALS']['URL'] is missing"),
        (
            {name: GOOD[name] for name in GOOD if name != "CLIENT_SECRET"},
            "E020",
            "['CREDENTIALS']['CLIENT_SECRET'] is missing",
        ),
        (
            {**GOOD, "URL": "http://credentials/api/v2"},
            "W020",
            "['CREDENTIALS']['URL'] is not https",
        ),
        ({**GOOD, "URL": "http://[::1"}, "E009", "['CREDENTIALS']['URL'] is not the address"),
        ({**GOOD, "TOKEN_URL": "lms.example.com"}, "E009", "['TOKEN_URL'] = 'https://...'"),
        ({**GOOD, "URL": 5}, "E001", "['CREDENTIALS']['URL'] is int, not str"),
        ({**GOOD, "TIMEOUT": 0}, "E021", "['CREDENTIALS']['TIMEOUT'] is not between 0 and 40"),
        ({**GOOD, "TIMEOUT": 60}, "E021", "['CREDENTIALS']['TIMEOUT'] = 10.0"),
        ({**GOOD, "GRADE_FILTER": "no.such.rule"}, "E003", "['GRADE_FILTER'] cannot be imported"),
        (
            {**GOOD, "GRADE_FILTER": "tests.credentials.factories.COURSE"},
            "E003",
            "cannot be called",
        ),
    ],
)
def test_invalid_setting_is_named_by_a_check(settings, value, number, text):
    """SG85: an invalid setting is an error at start, which names it and has no secret."""
    problems = found(settings, value)
    assert text in problems[number]
    assert "sssh" not in "".join(problems.values())


@pytest.mark.django_db
class TestAdmin:
    @pytest.fixture
    def row(self, credentials) -> GradeOutbox:
        learner = make_learner("ada")
        store_grade(learner)
        enqueue_grade(learner)
        api.send_due()
        return row_of(learner)

    def resend(self, client, row: GradeOutbox) -> None:
        address = reverse("admin:xqueue_bridge_gradeoutbox_changelist")
        client.post(address, {"action": "retry", "_selected_action": row.pk}, follow=True)

    def test_failed_row_is_shown_with_its_error(self, admin_client, row):
        """SG80: the pages show the error and no secret."""
        GradeOutbox.objects.update(status="failed", last_error="HTTP 400")
        for name, args in (("changelist", []), ("change", [row.pk])):
            page = admin_client.get(reverse(f"admin:xqueue_bridge_gradeoutbox_{name}", args=args))
            assert "HTTP 400" in page.text
            assert CLIENT_SECRET not in page.text

    def test_retry_action_sends_a_sent_grade_again(self, admin_client, credentials, row):
        self.resend(admin_client, row)
        assert api.send_due() == 1
        assert credentials.statuses == [201, 201]

    def test_retry_action_takes_1100_failed_rows(self, db, admin_client):
        """SG80: no statement names more rows than SQLite allows."""
        now = timezone.now()
        GradeOutbox.objects.bulk_create(
            GradeOutbox(
                user_id=number,
                course_id=COURSE,
                status="failed",
                wanted_version=1,
                wanted_modified=now,
            )
            for number in range(1100)
        )
        everything = {"action": "retry", "_selected_action": 1, "select_across": 1}
        address = reverse("admin:xqueue_bridge_gradeoutbox_changelist")
        with CaptureQueriesContext(connection) as captured:
            admin_client.post(address, everything)
        assert GradeOutbox.objects.filter(status="pending").count() == 1100
        updates = [
            each["sql"]
            for each in captured
            if "UPDATE" in each["sql"] and "attempts" in each["sql"]
        ]
        assert len(updates) == 3

    def test_resend_requires_the_change_permission(self, client, row):
        viewer = get_user_model().objects.create_user("viewer", password="x", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_gradeoutbox"))
        client.force_login(viewer)
        self.resend(client, row)
        assert row_of(row.user_id).status == "sent"
