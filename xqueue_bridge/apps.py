"""The Django app configuration, which is also an LMS plugin."""

from django.apps import AppConfig


class XQueueBridgeConfig(AppConfig):
    """Configuration of the one app, with one label and one set of migrations."""

    name = "xqueue_bridge"
    verbose_name = "XQueue bridge"
    default_auto_field = "django.db.models.BigAutoField"

    # Read by edx-django-utils if the app is installed as an LMS plugin; ignored elsewhere.
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
