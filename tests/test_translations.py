"""The message catalogues; labels of models; pages in German and in the pseudo-language en_XA."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from opaque_keys.edx.django.models import OpaqueKeyField, UsageKeyField

from tests.course_grades import factories
from tests.course_grades.courses import COURSE_KEY, key
from tests.submission_queue.factories import new_submission
from tools import messages
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_grades.api import SubsectionOverride
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.xqueue_service import messages as learner_messages

ROOT = Path(__file__).resolve().parent.parent
GRADES = f"/xqueue/grades/{COURSE_KEY}"
HOMEWORK = key("sequential", "homework")
#: Words of the data below, of units, and of details that follow the platform's English texts.
DATA = {
    *("teacher", "ada", "python", "Grades", "Homework", "Exercise", "Week", "Pass", "ill"),
    *("HW", "Avg", "UTC", "min", "s", "h", "of", "a", "possible", "Only"),
}
MODELS = sorted(apps.get_app_config("xqueue_bridge").get_models(), key=lambda each: each.__name__)
ADMIN_MODELS = [model for model in MODELS if model in admin.site._registry]


@pytest.fixture
def staff(client, db) -> User:
    user = User.objects.create(username="teacher", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def paths(staff) -> dict[str, str]:
    """Return the paths of all pages, with one learner whose grade is overridden."""
    factories.publish()
    ada = factories.make_learner("ada")
    factories.score(ada)
    factories.recalculate_pending(ada)
    override = SubsectionOverride(earned_graded=1.5, reason="ill", author_id=staff.pk)
    course_grades.set_override(ada.pk, COURSE_KEY, HOMEWORK, override)
    submission_queue.enqueue(new_submission("python"))
    return {
        "progress": f"{GRADES}/progress/{ada.pk}/",
        "gradebook": f"{GRADES}/gradebook/",
        "override": f"{GRADES}/override/{ada.pk}/{HOMEWORK}/",
        "queues": "/xqueue/queues/",
    }


def visible_text(page: str) -> str:
    """Return the texts and labels of a page, without markup and times."""
    labels = " ".join(re.findall(r'(?:aria-label|data-text)="([^"]*)"', page))
    return html.unescape(re.sub(r"<time.*?</time>|<[^>]*>", " ", page, flags=re.S) + labels)


def test_catalogues_have_every_message_of_the_code_and_no_other() -> None:
    assert list(messages.problems()) == []


def test_message_that_is_not_in_the_catalogues_is_a_problem(monkeypatch) -> None:
    template = messages.template_catalog()
    template.add("A new message")
    monkeypatch.setattr(messages, "template_catalog", lambda: template)
    found = [problem for problem in messages.problems() if "'A new message' is missing" in problem]
    assert [problem.partition(":")[0] for problem in found] == ["de", "en_XA"]


def test_pseudo_text_keeps_placeholders_entities_and_tags() -> None:
    text = "%(count)d of {0:,} &amp; <b>more</b>"
    assert messages.pseudo_text(text) == "[%(count)d öf {0:,} &amp; <b>möřé</b>]"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("progress", ["Fortschritt von ada", "Noch nicht bestanden.", "Übung, zählt nicht"]),
        ("gradebook", ["Notenbuch", "Als CSV herunterladen", "1 Lernende(r)"]),
        ("override", ["Note überschreiben", "1,5 von 4", "auf 1,5 gesetzt", "Grund"]),
        ("queues", ["Bewertungswarteschlangen", "Wartend", "Zurück zur Website"]),
    ],
)
def test_page_in_german(client, paths, name: str, texts: list[str]) -> None:
    with translation.override("de"):
        page = client.get(paths[name]).content.decode()
    assert '<html lang="de" dir="ltr">' in page
    text = visible_text(page)
    assert [each for each in texts if each not in text] == []


@pytest.mark.parametrize("name", ["progress", "gradebook", "override", "queues"])
def test_page_in_the_pseudo_language_has_no_text_that_is_not_translated(
    client, paths, name: str
) -> None:
    with translation.override("en-xa"):
        text = visible_text(client.get(paths[name]).content.decode())
    assert "[" in text
    translated = re.compile(r"\[[^\[\]]*\]")
    while translated.search(text):
        text = translated.sub(" ", text)
    assert set(re.findall(r"[^\W\d_]+", text)) - DATA == set()


def labels_of(model: type[models.Model]) -> Iterator[tuple[str, object]]:
    """Yield each text about a model that staff can read, with where it is."""
    options = model._meta
    for name in ("verbose_name", "verbose_name_plural"):
        # Django's defaults are lazy, but not translated.
        yield name, options.original_attrs.get(name)
    for field in options.get_fields():
        if not isinstance(field, models.Field) or field.auto_created:
            continue
        yield f"{field.name}.verbose_name", field.verbose_name
        if field.help_text:
            yield f"{field.name}.help_text", field.help_text
        for value, label in field.choices or ():
            yield f"{field.name}: {value}", label


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_labels_of_a_model_go_through_gettext(model: type[models.Model]) -> None:
    plain = [where for where, label in labels_of(model) if not isinstance(label, Promise)]
    assert plain == [], "write gettext_lazy(...), then run make messages"


def test_model_with_plain_labels_is_found() -> None:
    class Plain(models.Model):
        kind = models.CharField(max_length=1, choices=[("a", "first")], help_text="Which.")

        class Meta:
            app_label = "plain_labels"
            managed = False

        def __str__(self) -> str:
            return self.kind

    found = dict(labels_of(Plain))
    assert not any(isinstance(label, Promise) for label in found.values())
    assert set(found) == {
        *("verbose_name", "verbose_name_plural", "kind.verbose_name", "kind.help_text", "kind: a")
    }


def make_row(model: type[models.Model]) -> Any:
    """Store a row of any of our models: each field that has to have a value gets one."""
    values = {
        field.name: example_value(field)
        for field in model._meta.concrete_fields
        if not (field.null or field.has_default() or field.auto_created)
    }
    return model._default_manager.create(**values)


def example_value(field: models.Field) -> object:
    if field.is_relation:
        return make_row(field.related_model)
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, OpaqueKeyField):
        return HOMEWORK if isinstance(field, UsageKeyField) else COURSE_KEY
    kinds = {models.DateTimeField: timezone.now(), models.CharField: "x", models.TextField: "x"}
    return next((value for kind, value in kinds.items() if isinstance(field, kind)), 1)


def texts_in(page: str, markup: str) -> list[str]:
    """Return the texts of the elements that ``markup`` finds, without tags and empty ones."""
    found = (re.sub(r"<[^>]*>", " ", each) for each in re.findall(markup, page, flags=re.S))
    return [text for each in found if (text := html.unescape(each).strip().rstrip(":"))]


@pytest.mark.parametrize("model", ADMIN_MODELS, ids=lambda model: model.__name__)
def test_admin_of_a_model_has_no_label_that_is_not_translated(client, staff, model) -> None:
    row, name = make_row(model), f"admin:xqueue_bridge_{model._meta.model_name}"
    with translation.override("en-xa"):
        listed = client.get(reverse(f"{name}_changelist")).text
        shown = client.get(reverse(f"{name}_change", args=[row.pk])).text
    columns = texts_in(listed, r'<div class="text">(.*?)</div>')
    labels = texts_in(shown, r"<label[^>]*>(.*?)</label>")
    plural = texts_in(listed, r'<div class="breadcrumbs">.*&rsaquo;(.*?)</div>')
    assert columns
    assert labels
    texts = [*columns, *labels, *plural, *texts_in(listed, r'data-filter-title="(.*?)"')]
    texts += choices_in(row, listed)
    # Django's own label of a primary key.
    assert [text for text in texts if not text.startswith("[") and text != "ID"] == []


def choices_in(row: Any, page: str) -> list[str]:
    """Return what the list shows in the columns of fields with choices."""
    names = [field.name for field in row._meta.concrete_fields if field.choices]
    return [
        text for name in names for text in texts_in(page, rf'<td class="field-{name}">(.*?)</td>')
    ]


@pytest.mark.parametrize(
    ("model", "texts"),
    [
        ("submission", ["Warteschlange", "Auslieferungen", "wartend", "Einreichungen"]),
        ("receivedreply", ["letzter Fehler", "Versuche", "ausstehend", "empfangene Rückmeldungen"]),
        ("gradeoutbox", ["Kursschlüssel", "Noten für Credentials"]),
        ("transportoverride", ["Geltungsbereich", "Einreichungstabelle verwenden", "Kurs"]),
    ],
)
def test_admin_list_in_german(client, staff, model: str, texts: list[str]) -> None:
    make_row(apps.get_model("xqueue_bridge", model))
    with translation.override("de"):
        page = client.get(reverse(f"admin:xqueue_bridge_{model}_changelist")).text
    text = visible_text(page).casefold()
    assert [each for each in texts if each.casefold() not in text] == []


def test_admin_action_in_german(client, staff) -> None:
    submission_queue.enqueue(new_submission("python"))
    with translation.override("de"):
        page = client.get("/admin/xqueue_bridge/submission/").content.decode()
    assert "Ausgewählte Einreichungen wieder einreihen" in page


def test_learner_message_in_german() -> None:
    with translation.override("de"):
        text = str(learner_messages.fill(learner_messages.TOO_MANY_FILES, 3, 2))
    assert text == "es sind 3 Dateien, und höchstens 2 können gesendet werden"


def test_built_package_contains_the_compiled_catalogues(tmp_path) -> None:
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    built = {path.parent.parent.name for path in tmp_path.rglob("locale/*/LC_MESSAGES/django.mo")}
    assert built == set(messages.LANGUAGES)
