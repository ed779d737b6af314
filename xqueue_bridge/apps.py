"""The Django app configuration, which is also a plugin of LMS and CMS."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.lms.plugin import Installation

_SETTINGS = {
    name: {"relative_path": f"settings.{name}"}
    for name in ("common", "production", "devstack", "test")
}


class XQueueBridgeConfig(AppConfig):
    """Configuration of the one app, with one label and one set of migrations."""

    name = "xqueue_bridge"
    verbose_name = _("XQueue bridge")
    default_auto_field = "django.db.models.BigAutoField"

    # Read by edx-django-utils if the app is installed as a plugin; ignored elsewhere. Signals are
    # connected in handlers.py, so that they work with plain INSTALLED_APPS too.
    plugin_app = {
        "url_config": {
            "lms.djangoapp": {
                "namespace": "xqueue_bridge",
                "regex": "",
                "relative_path": "urls",
            },
        },
        "settings_config": {"lms.djangoapp": _SETTINGS, "cms.djangoapp": _SETTINGS},
    }

    #: What was done about the platform's XQueueService; None outside of an LMS, or if switched off.
    service_installation: Installation | None = None

    def ready(self) -> None:
        from xqueue_bridge import checks, handlers, tasks  # noqa: F401, two register themselves

        handlers.connect_all()
        self._install_service()

    def _install_service(self) -> None:
        from xqueue_bridge.conf import options
        from xqueue_bridge.lms import plugin
        from xqueue_bridge.lms.project_type import is_lms
        from xqueue_bridge.xqueue_service.api import XQueueService

        if is_lms() and options().REPLACE_XQUEUE_SERVICE is True:
            self.service_installation = plugin.install(XQueueService)
