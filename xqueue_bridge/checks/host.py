"""Checks of the host's own settings: databases, caches, storages and middleware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core import checks
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.shortcuts import resolve_url
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.module_loading import import_string

from xqueue_bridge import health
from xqueue_bridge.checks.messages import error, warning
from xqueue_bridge.checks.values import is_address
from xqueue_bridge.conf import options
from xqueue_bridge.lms.project_type import is_cms


@checks.register("xqueue_bridge")
def check_host(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that the host's settings contain what the bridge needs."""
    found: list[checks.CheckMessage] = []
    if is_cms():
        return found  # a CMS has neither submissions nor graders
    found.extend(_wrong_files_storage())
    if isinstance(options().CACHE_ALIAS, str):
        found.extend(_unusable(caches, "CACHE_ALIAS", options().CACHE_ALIAS, "CACHES"))
    found.extend(_wrong_xqueue_settings())
    found.extend(_circle())
    interface = getattr(settings, "XQUEUE_INTERFACE", None) or {}
    has_own = isinstance(interface, Mapping) and interface.get("callback_url")
    if not has_own and not getattr(settings, "LMS_ROOT_URL", None):
        found.append(
            warning(
                "W003",
                "Callback URLs have no host.",
                "LMS_ROOT_URL = 'https://lms.example.com'",
            )
        )
    try:
        reverse("xqueue_bridge:login")
    except NoReverseMatch:
        found.append(
            warning(
                "W004",
                "Graders cannot reach the bridge: its addresses are not in ROOT_URLCONF.",
                'urlpatterns += [path("", include("xqueue_bridge.urls"))]',
            )
        )
    else:
        found.extend(_missing_login_page())
        found.extend(_missing_for_pages())
    return found


def _missing_login_page() -> Iterator[checks.CheckMessage]:
    """Yield a warning if the pages redirect anonymous users to a page that this site lacks."""
    try:
        path = urlsplit(resolve_url(settings.LOGIN_URL))
        if path.netloc or settings.FORCE_SCRIPT_NAME:
            return  # a page of another site, or below a prefix that is not part of the patterns
        resolve(path.path)
    except (NoReverseMatch, Resolver404):
        text = f"LOGIN_URL is {str(settings.LOGIN_URL)!r}, which is no page of this site."
        yield warning("W011", text, "LOGIN_URL = 'admin:login', or the address of your login page")


def _missing_for_pages() -> Iterator[checks.CheckMessage]:
    """Yield warnings if no page can be shown: no template is found, or no user is known."""
    try:
        get_template("xqueue_bridge/_base.html")
    except (TemplateDoesNotExist, ImproperlyConfigured):
        line = "TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates', "
        text = "TEMPLATES has no backend that finds the templates of installed apps."
        yield warning("W014", text, line + "'APP_DIRS': True}]")
    if not any(map(_names_the_user, settings.MIDDLEWARE)):
        line = "MIDDLEWARE += ['django.contrib.auth.middleware.AuthenticationMiddleware']"
        text = "MIDDLEWARE has no AuthenticationMiddleware: the pages do not know who is signed in."
        yield warning("W014", text, f"{line}, after SessionMiddleware")


def _names_the_user(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False  # Django says so when the first request comes
    return isinstance(found, type) and issubclass(found, AuthenticationMiddleware)


def _circle() -> Iterator[checks.CheckMessage]:
    """Yield a warning if submissions would be forwarded to this site itself."""
    legacy = options().LEGACY_XQUEUE_INTERFACE
    url = legacy.get("url") if isinstance(legacy, Mapping) else None
    for name, ours in (
        ("LMS_ROOT_URL", getattr(settings, "LMS_ROOT_URL", None)),
        ("XQUEUE_BRIDGE['PUBLIC_URL']", options().PUBLIC_URL),
    ):
        if is_address(url) and is_address(ours) and urlsplit(url)[:2] == urlsplit(ours)[:2]:
            yield warning(
                "W010",
                f"LEGACY_XQUEUE_INTERFACE is {name}: this site forwards submissions to itself.",
                "XQUEUE_BRIDGE['LEGACY_XQUEUE_INTERFACE']['url'] = the old server's address; "
                "this site's address belongs into XQUEUE_INTERFACE['url']",
            )
            return


def _wrong_files_storage() -> list[checks.CheckMessage]:
    alias = options().FILES_STORAGE_ALIAS
    if not isinstance(alias, str):
        return []  # check_options reports it
    if alias not in settings.STORAGES:
        example = (
            f"STORAGES[{alias!r}] = {{'BACKEND': 'django.core.files.storage.FileSystemStorage', "
            "'OPTIONS': {'location': '/a/private/directory'}}"
        )
        text = f"STORAGES has no {alias!r}: answers with files will be refused."
        return [warning("W001", text, example)]
    if alias == "default" or settings.STORAGES[alias] == settings.STORAGES.get("default"):
        example = f"STORAGES[{alias!r}] = ... of its own, in a private directory or bucket"
        text = f"STORAGES[{alias!r}] is the default storage, which is usually public."
        return [warning("W002", text, example)]
    return list(_unusable(storages, "FILES_STORAGE_ALIAS", alias, "STORAGES"))


@checks.register("xqueue_bridge", deploy=True)
def check_files_storage(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that files can be written to, read from, and deleted from the storage of answers."""
    alias = options().FILES_STORAGE_ALIAS
    if not isinstance(alias, str) or alias not in settings.STORAGES:
        return []  # check_options or check_host reports it
    where = f"STORAGES[{alias!r}]"
    try:
        found = health.check_storage()
    except Exception as exc:  # a storage is foreign code
        text = f"{where} cannot store answers with files: {type(exc).__name__}."
        hint = f"{where}: a location that the user of the web server may write to, read and delete"
        return [error("E016", text, hint)]
    if found == health.OK:
        return []
    hint = f"{where} = ... of a storage that keeps bytes as they are"
    return [error("E016", f"{where}: {found}.", hint)]


def _unusable(backends: Any, name: str, alias: str, setting: str) -> Iterator[checks.CheckMessage]:
    """Yield an error for a cache or a storage that cannot be created."""
    try:
        backends[alias]
    except Exception as exc:  # the import runs foreign code
        text = f"XQUEUE_BRIDGE[{name!r}] is {alias!r}, which is not in {setting}."
        if alias in getattr(settings, setting):
            text = f"{setting}[{alias!r}] cannot be used: {type(exc).__name__}."
        yield error("E013", text, f"{setting}[{alias!r}] = {{'BACKEND': 'package.module.name'}}")


def _wrong_xqueue_settings() -> Iterator[checks.CheckMessage]:
    """Yield errors in the settings that have the platform's names."""
    interface = getattr(settings, "XQUEUE_INTERFACE", None) or {}
    where = "XQUEUE_INTERFACE"
    if not isinstance(interface, Mapping):
        yield error("E030", f"{where} is not a dict.", f"{where} = {{'url': 'https://...'}}")
        interface = {}
    for name in ("url", "callback_url"):
        if interface.get(name) and not is_address(interface[name]):
            text = f"{where}[{name!r}] is not the address of a site."
            yield error("E030", text, f"{where}[{name!r}] = 'https://...'")
    account, line = interface.get("django_auth"), f"{where}['django_auth']"
    if account and not (isinstance(account, Mapping) and {"username", "password"} <= set(account)):
        text = f"{line} is not a dict of a username and a password."
        yield error("E030", text, f"{line} = {{'username': '...', 'password': '...'}}")
    pair, line = interface.get("basic_auth"), f"{where}['basic_auth']"
    if pair and not (isinstance(pair, list | tuple) and len(pair) == 2):
        text = f"{line} is not a pair of a name and a password."
        yield error("E030", text, f"{line} = ('...', '...')")
    root = getattr(settings, "LMS_ROOT_URL", None)
    if root and not is_address(root):
        text = "LMS_ROOT_URL is not the address of a site."
        yield error("E031", text, "LMS_ROOT_URL = 'https://lms.example.com'")
    try:
        is_right = int(getattr(settings, "XQUEUE_WAITTIME_BETWEEN_REQUESTS", 5)) >= 0
    except (ValueError, TypeError, OverflowError):
        is_right = False
    if not is_right:
        text = "XQUEUE_WAITTIME_BETWEEN_REQUESTS is not a number of seconds."
        yield error("E032", text, "XQUEUE_WAITTIME_BETWEEN_REQUESTS = 5")
