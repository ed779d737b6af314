"""edx-submissions with the primary keys of its migrations, whatever DEFAULT_AUTO_FIELD is here."""

from django.apps import AppConfig


class EdxSubmissionsConfig(AppConfig):
    name = "submissions"
    default_auto_field = "django.db.models.AutoField"
