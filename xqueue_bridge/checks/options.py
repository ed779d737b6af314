"""Checks of the keys of XQUEUE_BRIDGE and of the objects that its dotted paths name."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, router
from django.utils.module_loading import import_string

from xqueue_bridge.checks.messages import error, unimportable, warning
from xqueue_bridge.checks.values import is_address, wrong_proxies, wrong_values
from xqueue_bridge.conf import options
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.models import StudentModuleHistoryExtended
from xqueue_bridge.option_groups import CredentialsOptions, QueueOptions
from xqueue_bridge.options import Options
from xqueue_bridge.protocol.fields import MAX_NAME, check_name

REPLY_BACKENDS = ("state", "block", "callback")
DOTTED_PATHS = (
    "BLOCK_LOADER",
    "COURSE_STAFF_CHECK",
    "COURSE_STRUCTURE_BACKEND",
    "CRAWLER_DETECTOR",
    "DESCRIBE_PROBLEM",
    "REPLY_BACKEND",
    "SEND_ERROR_CLASS",
    "SHOW_RESULTS",
)
_BACKEND_EXAMPLE = f"{', '.join(map(repr, REPLY_BACKENDS))} or 'package.module.Class'"
#: Seconds: two thirds of the time that an attempt to send a grade has left for its request.
LONGEST_TIMEOUT = 40


@checks.register("xqueue_bridge")
def check_options(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that every key of XQUEUE_BRIDGE is known, of its type, and within its range."""
    given = getattr(settings, "XQUEUE_BRIDGE", {})
    if not isinstance(given, Mapping):
        return [error("E001", "XQUEUE_BRIDGE is not a dict.", "XQUEUE_BRIDGE = {}")]
    where = "XQUEUE_BRIDGE"
    found = wrong_values(Options, given, where)
    found += wrong_proxies(given.get("TRUSTED_PROXIES"), where)
    queues = given.get("QUEUES", {})
    for queue_name, values in queues.items() if isinstance(queues, Mapping) else ():
        where = f"XQUEUE_BRIDGE['QUEUES'][{queue_name!r}]"
        if not isinstance(queue_name, str):
            line = f"XQUEUE_BRIDGE['QUEUES'][{str(queue_name)!r}] = ..."
            found.append(error("E001", f"{where}: a queue's name is a text.", line))
        elif not _is_name(queue_name):
            text = f"{where}: a queue's name has 1 to {MAX_NAME} printable characters."
            found.append(error("E001", text, "XQUEUE_BRIDGE['QUEUES']['python'] = ..."))
        if isinstance(values, Mapping):
            found += wrong_values(QueueOptions, values, where)
        else:
            found.append(error("E001", f"{where} is not a dict.", f"{where} = {{}}"))
    return found


def _is_name(text: str) -> bool:
    try:
        return check_name(text, "queue_name") == text
    except InvalidField:
        return False


@checks.register("xqueue_bridge")
def check_dotted_paths(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that what the settings name can be imported, and is of the right kind."""
    found: list[checks.CheckMessage] = []
    for name in DOTTED_PATHS:
        path, example = getattr(options(), name), "'package.module.name'"
        if name == "REPLY_BACKEND":
            example = _BACKEND_EXAMPLE
        # check_options reports other types.
        if isinstance(path, str) and not (name == "REPLY_BACKEND" and path in REPLY_BACKENDS):
            found += unimportable(name, path, example=example) or _wrong_class(name, path)
    return found


@checks.register("xqueue_bridge")
def check_reply_backend(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that the reply backend has the settings that it needs."""
    found: list[checks.CheckMessage] = []
    backend, prefixes = options().REPLY_BACKEND, options().CALLBACK_PREFIXES
    if backend == "block" and not options().BLOCK_LOADER:
        text = "REPLY_BACKEND is 'block', but nothing loads a learner's block."
        found.append(
            error("E004", text, "XQUEUE_BRIDGE['BLOCK_LOADER'] = 'your.module.load_block'")
        )
    line = "XQUEUE_BRIDGE['CALLBACK_PREFIXES']"
    example = f"{line} = ('https://lms.example.com/',)"
    if backend == "callback" and not prefixes:
        text = "REPLY_BACKEND is 'callback', but no address may be posted to."
        found.append(error("E005", text, example))
    for prefix in prefixes if isinstance(prefixes, list | tuple) else ():
        if not is_address(prefix):
            found.append(error("E009", f"{line}: {prefix!r} is no address.", example))
    return found


def _wrong_class(name: str, path: str) -> list[checks.CheckMessage]:
    """Return the errors of a dotted path that must name a callable."""
    found, where = import_string(path), f"XQUEUE_BRIDGE[{name!r}]"
    if name == "SEND_ERROR_CLASS":
        is_right = isinstance(found, type) and issubclass(found, Exception)
        what = "an exception class"
    else:
        method = {"REPLY_BACKEND": "apply", "COURSE_STRUCTURE_BACKEND": "get"}.get(name)
        is_right = method is None or (isinstance(found, type) and hasattr(found, method))
        what = f"a class with a method {method}"
    if is_right:
        return []
    example = _BACKEND_EXAMPLE if name == "REPLY_BACKEND" else repr(getattr(Options, name))
    return [error("E007", f"{where} is not {what}: {path}.", f"{where} = {example}")]


@checks.register("xqueue_bridge")
def check_state_client(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that USER_STATE_CLIENT can be imported and is a user-state client."""
    from xqueue_bridge.learner_state.user_state import missing_client_attributes
    from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient

    path = options().USER_STATE_CLIENT
    if not isinstance(path, str):
        return []  # check_options reports it
    found = unimportable("USER_STATE_CLIENT", path)
    if found:
        return found
    client = import_string(path)
    if lacking := missing_client_attributes(client):
        text = (
            f"XQUEUE_BRIDGE['USER_STATE_CLIENT'] is no user-state client: {path} lacks {lacking}."
        )
        line = f"XQUEUE_BRIDGE['USER_STATE_CLIENT'] = {Options.USER_STATE_CLIENT!r}"
        found.append(error("E007", text, line))
    elif not issubclass(client, DjangoXBlockUserStateClient) and options().REPLY_BACKEND == "state":
        found.append(
            warning(
                "W007",
                "REPLY_BACKEND is 'state', which writes to our own table: replies will not be seen "
                "in the states that USER_STATE_CLIENT keeps.",
                "XQUEUE_BRIDGE['REPLY_BACKEND'] = 'block'",
            )
        )
    return found


@checks.register("xqueue_bridge")
def check_history(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that the extended history table is in HISTORY_DATABASE."""
    alias = options().HISTORY_DATABASE
    if alias is None or not isinstance(alias, str):
        return []  # check_options reports it
    line = "XQUEUE_BRIDGE['HISTORY_DATABASE']"
    if alias == DEFAULT_DB_ALIAS or alias not in settings.DATABASES:
        what = "the default database" if alias == DEFAULT_DB_ALIAS else "not in DATABASES"
        return [error("E010", f"{line} is {alias!r}, which is {what}.", f"{line} = None")]
    if router.db_for_write(StudentModuleHistoryExtended) != alias:
        return [
            error(
                "E011",
                f"{line} is {alias!r}, but no router sends history there.",
                "DATABASE_ROUTERS = ['xqueue_bridge.learner_state.history.router.HistoryRouter']",
            )
        ]
    return []


@checks.register("xqueue_bridge")
def check_credentials(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that grades can be sent to Credentials, and that grades and secret are encrypted."""
    given = getattr(settings, "XQUEUE_BRIDGE", {})
    given = given.get("CREDENTIALS") if isinstance(given, Mapping) else None
    where = "XQUEUE_BRIDGE['CREDENTIALS']"
    if not given or not isinstance(given, Mapping):
        return []
    found = wrong_values(CredentialsOptions, given, where)
    for name in ("URL", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET"):
        if not given.get(name):
            found.append(
                error("E020", f"{where}[{name!r}] is missing.", f"{where}[{name!r}] = '...'")
            )
    for name in ("URL", "TOKEN_URL"):
        address = given.get(name)
        if not address or not isinstance(address, str):
            continue  # reported above
        if not is_address(address):
            text = f"{where}[{name!r}] is not the address of a service."
            found.append(error("E009", text, f"{where}[{name!r}] = 'https://...'"))
        elif not _is_private(address):
            found.append(
                warning(
                    "W020", f"{where}[{name!r}] is not https.", f"{where}[{name!r}] = 'https://...'"
                )
            )
    seconds = given.get("TIMEOUT", CredentialsOptions.TIMEOUT)
    if isinstance(seconds, int | float) and not 0 < seconds <= LONGEST_TIMEOUT:
        found.append(
            error(
                "E021",
                f"{where}['TIMEOUT'] is not between 0 and {LONGEST_TIMEOUT}.",
                f"{where}['TIMEOUT'] = {CredentialsOptions.TIMEOUT}",
            )
        )
    if isinstance(path := given.get("GRADE_FILTER"), str):
        found.extend(unimportable("GRADE_FILTER", path, where))
    return found


def _is_private(address: str) -> bool:
    """Return whether a request to this URL cannot be read in transit."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
