"""The Django app, and how it joins an LMS."""

from django.apps import AppConfig


class XQueueBridgeConfig(AppConfig):
    """One app, one label, one history of migrations."""

    name = "xqueue_bridge"
    verbose_name = "XQueue bridge"
    default_auto_field = "django.db.models.BigAutoField"

    # Read by edx-django-utils where the app is installed as an LMS plugin; plain data elsewhere.
    plugin_app = {
        "url_config": {
            "lms.djangoapp": {
                "namespace": "xqueue_bridge",
                "regex": "",
                "relative_path": "urls",
            },
        },
    }

    def ready(self) -> None:
        from xqueue_bridge import checks, handlers

        checks.register_all()
        handlers.connect_all()
