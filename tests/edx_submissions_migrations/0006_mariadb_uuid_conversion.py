# ruff: noqa: N999
"""Replaces the migration that fails on MariaDB: see docs/how-tos/move_from_edx_submissions.rst."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("submissions", "0005_CreateTeamModel")]
    operations: list[object] = []
