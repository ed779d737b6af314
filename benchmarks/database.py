"""A database for one benchmark, and its count of statements. Import this when Django is set up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, models
from django.test.utils import CaptureQueriesContext


@contextmanager
def a_database(*others: type[models.Model]) -> Iterator[str]:
    """Create a database with the app's tables and those of ``others``; drop it afterwards."""
    former = connection.settings_dict["NAME"]
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        with connection.schema_editor() as editor:
            for model in others:
                editor.create_model(model)
        yield name
    finally:
        connection.creation.destroy_test_db(former, verbosity=0)


def statements(do: Callable[[], object]) -> int:
    """Return the number of statements of ``do``, including BEGIN and COMMIT."""
    connection.queries_log.clear()  # it is of limited length
    with CaptureQueriesContext(connection) as queries:
        do()
    return len(queries)
