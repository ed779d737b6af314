"""Migrations, and collations of key and name columns."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from opaque_keys.edx.django.models import OpaqueKeyField

from xqueue_bridge.learner_state.fields.models import StoredField
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger


@pytest.mark.django_db  # the backend asks a MariaDB server for its version
@pytest.mark.parametrize("vendor", ["mysql", "postgresql", "sqlite"])
def test_key_columns_are_case_sensitive(monkeypatch, vendor):
    """Keys that differ only in case are different on every database (decision 0021)."""
    models = apps.get_app_config("xqueue_bridge").get_models()
    keys = [
        field
        for model in models
        for field in model._meta.fields
        if isinstance(field, OpaqueKeyField)
    ]
    assert len(keys) > 15
    monkeypatch.setattr(connection, "vendor", vendor)
    collations = {field.db_parameters(connection).get("collation") for field in keys}
    assert collations == {"utf8mb4_bin" if vendor == "mysql" else None}
    # An argument of edx-opaque-keys 3.1, which Ulmo's 3.0 refuses.
    assert all("case_sensitive" not in field.deconstruct()[3] for field in keys)


@pytest.mark.django_db
def test_name_columns_are_case_sensitive_on_mysql(monkeypatch):
    """Names that differ only in case or accent are different on MySQL."""
    monkeypatch.setattr(connection, "vendor", "mysql")
    models = apps.get_app_config("xqueue_bridge").get_models()
    names = [
        *(
            model._meta.get_field("field_name")
            for model in models
            if issubclass(model, StoredField)
        ),
        ScoreLedger._meta.get_field("idempotency_key"),
    ]
    assert len(names) == 4
    assert {name.db_parameters(connection)["collation"] for name in names} == {"utf8mb4_bin"}


@pytest.mark.django_db(transaction=True)
def test_migrations_can_be_reversed():
    """SG90: migrating to zero drops every table; migrating again creates them."""

    def our_tables() -> set[str]:
        names = connection.introspection.table_names()
        return {name for name in names if name.startswith("xqueue_bridge_")}

    before = our_tables()
    assert StudentModule._meta.db_table in before
    try:
        call_command("migrate", "xqueue_bridge", "zero", verbosity=0)
        assert our_tables() == set()
    finally:
        call_command("migrate", "xqueue_bridge", verbosity=0)
    assert our_tables() == before
    assert not StudentModule.objects.exists()
