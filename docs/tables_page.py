"""Write docs/references/tables.rst: the tables and columns of the models.

Run ``python docs/tables_page.py`` after a model has changed; tests/test_docs_names.py fails until
the page agrees with the models.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "references" / "tables.rst"

INTRODUCTION = """\
.. Written by docs/tables_page.py from the models. Do not edit.

Tables
######

The models of the app and their columns, for operators and for reports. Names and types are those of
Django's fields. Code of a host uses :doc:`python_api`, not the models.
"""


def page() -> str:
    """Return the page. Django must be set up."""
    from django.apps import apps

    models = sorted(
        apps.get_app_config("xqueue_bridge").get_models(), key=lambda model: model.__name__
    )
    return "\n".join([INTRODUCTION, *(line for model in models for line in _section(model))])


def _section(model: type) -> Iterator[str]:
    options = model._meta  # type: ignore[attr-defined]
    yield f"{model.__name__}\n{'*' * len(model.__name__)}\n"
    yield f"Table ``{options.db_table}``. {(model.__doc__ or '').strip().splitlines()[0]}\n"
    rows = [
        (f"``{field.column}``", type(field).__name__, "null" if field.null else "")
        for field in options.concrete_fields
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(2)]
    rule = f"{'=' * widths[0]}  {'=' * widths[1]}  ====\n"
    lines = (
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {null}".rstrip() for name, kind, null in rows
    )
    yield rule + "\n".join(lines) + f"\n{rule}"


def main() -> None:
    """Set Django up with the tests' settings and write the page."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
