"""Whether this process is an LMS or a CMS of the Open edX platform, by its settings."""

from __future__ import annotations

from django.conf import settings

COURSEWARE = "lms.djangoapps.courseware"


def is_lms() -> bool:
    """Return whether the host is an LMS."""
    return not is_cms() and _has_courseware()


def is_cms() -> bool:
    """Return whether the host is a CMS (Studio), which has the LMS's courseware app as well."""
    urls = getattr(settings, "ROOT_URLCONF", None) or ""
    return urls.startswith("cms.") and _has_courseware()


def _has_courseware() -> bool:
    """Return whether the app is installed, by its name or by its AppConfig."""
    apps = settings.INSTALLED_APPS
    return COURSEWARE in apps or any(app.startswith(f"{COURSEWARE}.") for app in apps)
