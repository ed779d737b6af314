"""Routing of the extended history to its database."""

from __future__ import annotations

import pytest
from django.db.utils import ConnectionRouter

from tests.learner_state.history_factories import EXTENDED, PLAIN
from xqueue_bridge.learner_state.history.router import HistoryRouter
from xqueue_bridge.learner_state.models import StudentModule

router = ConnectionRouter([HistoryRouter()])


def databases() -> dict[type, str]:
    return {
        model: f"{router.db_for_read(model)} {router.db_for_write(model)}"
        for model in (StudentModule, PLAIN, EXTENDED)
    }


@pytest.mark.parametrize(
    "options", [{}, {"HISTORY_DATABASE": None}, {"HISTORY_DATABASE": "default"}]
)
def test_router_without_history_database_changes_nothing(settings, options):
    settings.XQUEUE_BRIDGE = options
    assert set(databases().values()) == {"default default"}
    assert router.allow_migrate_model("default", StudentModule)
    assert router.allow_migrate_model("history", StudentModule)


def test_extended_history_is_routed_to_the_history_database(settings):
    """SG32: migrate it alone there; migrate it in the default database, too, for a move back."""
    settings.XQUEUE_BRIDGE = {"HISTORY_DATABASE": "history"}
    assert databases() == {
        StudentModule: "default default",
        PLAIN: "default default",
        EXTENDED: "history history",
    }
    assert router.allow_migrate_model("history", EXTENDED)
    assert not router.allow_migrate_model("history", PLAIN)
    assert not router.allow_migrate("history", "auth", model_name="user")
    assert not router.allow_migrate("history", "xqueue_bridge")
    assert router.allow_migrate_model("default", EXTENDED)
    assert router.allow_migrate_model("default", StudentModule)
