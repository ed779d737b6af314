"""System checks: each message names the setting, and its hint the line to write."""

from __future__ import annotations

import math
from typing import get_args, get_type_hints

import pytest
from celery import Celery
from django.apps import apps
from django.conf import settings
from django.core.checks import run_checks
from django.db import connection

from xqueue_bridge.checks import limits
from xqueue_bridge.checks.databases import check_databases, check_deployment
from xqueue_bridge.checks.gateway import check_gateway
from xqueue_bridge.checks.host import check_files_storage, check_host
from xqueue_bridge.checks.limits import check_broker_limit, check_cache_limit
from xqueue_bridge.checks.options import (
    check_credentials,
    check_dotted_paths,
    check_history,
    check_options,
    check_reply_backend,
    check_state_client,
)
from xqueue_bridge.checks.values import RANGES
from xqueue_bridge.conf import option_names
from xqueue_bridge.learner_state.user_state import XBlockUserStateClient
from xqueue_bridge.models import Grader
from xqueue_bridge.option_groups import AlertOptions, GatewayOptions, QueueOptions
from xqueue_bridge.options import Options
from xqueue_bridge.worker import enqueue

MEMORY_CLIENT = "tests.doubles.memory_state_client.MemoryUserStateClient"


class IncompleteClient(XBlockUserStateClient):
    """A state client without ``set_many``, ``get_history`` and ``DoesNotExist``."""

    DoesNotExist = None

    def get_many(self, username, block_keys, scope="user_state", fields=None):
        yield from ()

    def delete_many(self, username, block_keys, scope="user_state", fields=None): ...

    iter_all_for_block = iter_all_for_course = get_many


class HostBackend:
    def apply(self, to_apply, on_applied): ...


def found(**kwargs) -> dict[str, str]:
    every = (
        check_options,
        check_reply_backend,
        check_dotted_paths,
        check_state_client,
        check_history,
        check_host,
        check_credentials,
        check_gateway,
        check_databases,
    )
    messages = [message for check in every for message in check(**kwargs)]
    return {
        message.id.removeprefix("xqueue_bridge."): f"{message.msg} {message.hint}"
        for message in messages
    }


# Django's own check of JSON fields asks the database what it can do.
@pytest.mark.django_db
def test_settings_of_the_tests_have_no_messages():
    assert found() == {}
    assert [m for m in run_checks() if m.id and m.id.startswith("xqueue_bridge")] == []


@pytest.mark.parametrize(
    ("value", "number", "words"),
    [
        ([], "E001", "XQUEUE_BRIDGE is not a dict"),
        (5, "E001", "XQUEUE_BRIDGE is not a dict"),
        ("LEASE_SECONDS", "E001", "XQUEUE_BRIDGE is not a dict"),
        (None, "E001", "XQUEUE_BRIDGE is not a dict"),
        ("x", "E001", "XQUEUE_BRIDGE is not a dict"),
        ({"FILES_STORAGE_ALIAS": ["a"]}, "E001", "['FILES_STORAGE_ALIAS'] is list, not str"),
        ({"QUEUES": ["a"]}, "E001", "['QUEUES'] is list, not Mapping"),
        ({"QUEUES": {"a ": {}}}, "E001", "['QUEUES']['a ']: a queue's name has 1 to 128 printable"),
        ({"QUEUES": {"a\u200b": {}}}, "E001", "a queue's name has 1 to 128 printable"),
        ({"LEASE_SECOND": 5}, "E001", "['LEASE_SECOND'] is not a setting"),
        ({"LEASE_SECONDS": "5"}, "E001", "['LEASE_SECONDS'] is str, not int"),
        ({"LEASE_SECONDS": True}, "E001", "['LEASE_SECONDS'] is bool, not int"),
        ({"QUEUES": {"a": 5}}, "E001", "['QUEUES']['a'] is not a dict"),
        ({"QUEUES": {"a": {"LEASE": 5}}}, "E001", "['QUEUES']['a']['LEASE'] is not a setting"),
        ({"QUEUES": {"a": {"SCORE_SCALE": "percent"}}}, "E002", "SCORE_SCALE"),
        ({"REPLY_BACKEND": "no.such.thing"}, "E003", "['REPLY_BACKEND'] cannot be imported"),
        ({"BLOCK_LOADER": "no.such.thing"}, "E003", "['BLOCK_LOADER'] cannot be imported"),
        ({"CRAWLER_DETECTOR": "no.such.thing"}, "E003", "['CRAWLER_DETECTOR'] cannot be imported"),
        ({"CRAWLER_DETECTOR": "xqueue_bridge.models.__name__"}, "E003", "cannot be called"),
        ({"COURSE_STAFF_CHECK": "no.such.thing"}, "E003", "['COURSE_STAFF_CHECK'] cannot be"),
        (
            {"USER_STATE_CLIENT": "no.such.Client"},
            "E003",
            "['USER_STATE_CLIENT'] cannot be imported",
        ),
        (
            {"USER_STATE_CLIENT": "tests.test_checks.IncompleteClient"},
            "E007",
            "['USER_STATE_CLIENT'] is no",
        ),
        ({"USER_STATE_CLIENT": "tests.test_checks.found"}, "E007", "it is not one"),
        ({"USER_STATE_CLIENT": MEMORY_CLIENT}, "W007", "['REPLY_BACKEND'] = 'block'"),
        ({"REPLY_BACKEND": "block"}, "E004", "['BLOCK_LOADER'] = "),
        ({"REPLY_BACKEND": "callback"}, "E005", "['CALLBACK_PREFIXES'] = "),
        ({"TASK_RUNNER": "rabbit"}, "E006", "['TASK_RUNNER'] = "),
        ({"HISTORY_DATABASE": "nowhere"}, "E010", "'nowhere', which is not in DATABASES"),
        ({"HISTORY_DATABASE": "default"}, "E010", "['HISTORY_DATABASE'] = None"),
        ({"HISTORY_EXTENDED": 1}, "E001", "['HISTORY_EXTENDED'] is int, not bool"),
        ({"GRADE_SIGNALS": "some"}, "E012", "['GRADE_SIGNALS'] = "),
        ({"LATE_RESULTS": "always"}, "E017", "['LATE_RESULTS'] = "),
        ({"GATEWAY": True}, "E001", "['GATEWAY'] is bool, not Mapping or None"),
        ({"GATEWAY": {"HOLD": 5}}, "E001", "['GATEWAY']['HOLD'] is not a setting"),
        ({"GATEWAY": {"THREADS": "8"}}, "E001", "['GATEWAY']['THREADS'] = 8"),
        ({"GATEWAY": {"POLL_SECONDS": 0}}, "E008", "['GATEWAY']['POLL_SECONDS'] = 0.1"),
        ({"GATEWAY": {"REDIS_URL": "localhost"}}, "E009", "['GATEWAY']['REDIS_URL'] = "),
        ({"QUEUES": ["a"]}, "E001", "XQUEUE_BRIDGE['QUEUES'] = {}"),
        ({"QUEUES": {5: {}}}, "E001", "XQUEUE_BRIDGE['QUEUES']['5'] = "),
        ({"QUEUES": {"a": {"LEASE_SECONDS": "5"}}}, "E001", "['LEASE_SECONDS'] = 300"),
        (
            {"QUEUES": {"a": {"MAX_DELIVERIES": 0}}},
            "E008",
            "['QUEUES']['a']['MAX_DELIVERIES'] = 10",
        ),
        ({"LEASE_SECONDS": -1}, "E008", "XQUEUE_BRIDGE['LEASE_SECONDS'] = 300"),
        ({"LEASE_SECONDS": 10**30}, "E008", "['LEASE_SECONDS'] is 1000"),
        ({"RETRY_BACKOFF": math.nan}, "E008", "['RETRY_BACKOFF'] = 2.0"),
        ({"RETRY_BACKOFF_MAX": math.inf}, "E008", "['RETRY_BACKOFF_MAX'] = 3600.0"),
        ({"MAX_ATTEMPTS": 40_000}, "E008", "between 1 and 32767"),
        ({"USER_STATE_BATCH_SIZE": 0}, "E008", "['USER_STATE_BATCH_SIZE'] = 500"),
        (
            {"RECALCULATE_GRADE_DELAY_SECONDS": 3600},
            "E008",
            "['RECALCULATE_GRADE_DELAY_SECONDS'] = 2.0",
        ),
        ({"GRADE_FREEZE_DAYS": -1}, "E008", "['GRADE_FREEZE_DAYS'] = 30"),
        ({"LOGIN_FAILURE_RATE": "20"}, "E009", "['LOGIN_FAILURE_RATE'] = '20/min'"),
        ({"LOGIN_FAILURE_RATE": "0/min"}, "E009", "which is not a number above 0 for each"),
        ({"LOGIN_FAILURE_RATE": "many/min"}, "E009", "['LOGIN_FAILURE_RATE'] is 'many/min'"),
        ({"LOGIN_FAILURE_RATE": "20/month"}, "E009", "['LOGIN_FAILURE_RATE'] is '20/month'"),
        ({"SESSION_COOKIE": "a b"}, "E009", "not a name that a cookie can have"),
        ({"SESSION_COOKIE": "csrftoken"}, "E009", "the name of another cookie"),
        ({"PUBLIC_URL": "lms.example.com"}, "E009", "['PUBLIC_URL'] = 'https://"),
        ({"PUBLIC_URL": "https://[::1"}, "E009", "['PUBLIC_URL'] = 'https://"),
        ({"CALLBACK_PREFIXES": ["lms.example.com"]}, "E009", "['CALLBACK_PREFIXES'] = ("),
        (
            {"CACHE_ALIAS": "nowhere"},
            "E013",
            "['CACHE_ALIAS'] is 'nowhere', which is not in CACHES",
        ),
        (
            {"REPLY_BACKEND": "tests.test_checks.found"},
            "E007",
            "is not a class with a method apply",
        ),
        ({"COURSE_STRUCTURE_BACKEND": "tests.test_checks.HostBackend"}, "E007", "a method get:"),
        ({"SEND_ERROR_CLASS": "tests.test_checks.found"}, "E007", "is not an exception class"),
        ({"FILES_STORAGE_ALIAS": "nowhere"}, "W001", "STORAGES['nowhere'] = "),
        ({"FILES_STORAGE_ALIAS": "default"}, "W002", "usually public"),
    ],
)
def test_wrong_option_is_named_in_the_message(settings, value, number, words):
    """SG85: an option that cannot be imported, or has a wrong type or value, is named."""
    settings.XQUEUE_BRIDGE = value
    assert words in found()[number]


def test_each_numeric_option_has_a_range_with_its_default():
    """SG85: RANGES has an entry for each numeric option, and the default is within it."""
    numbers = {
        name: default
        for group in (Options, QueueOptions, AlertOptions, GatewayOptions)
        for name, kind in get_type_hints(group).items()
        if {int, float} & {kind, *get_args(kind)}
        and (default := getattr(Options if group is QueueOptions else group, name))
    }
    assert numbers.keys() == RANGES.keys()
    assert all(RANGES[name][0] <= default <= RANGES[name][1] for name, default in numbers.items())


@pytest.mark.parametrize("value", [None, "text", "", -1, 0, 1.5, True, b"x", [], [1], {}, {1: 2}])
def test_checks_raise_for_no_value(settings, value):
    """SG85: a value of any type leads to a message or is accepted; no check raises."""
    for name in sorted(option_names(Options)):
        settings.XQUEUE_BRIDGE = {name: value}
        assert isinstance(found(), dict), name


@pytest.mark.parametrize(
    ("name", "value", "number", "words"),
    [
        ("XQUEUE_INTERFACE", "https://xqueue", "E030", "XQUEUE_INTERFACE is not a dict"),
        ("XQUEUE_INTERFACE", {"url": "xqueue:18040"}, "E030", "XQUEUE_INTERFACE['url'] = "),
        ("XQUEUE_INTERFACE", {"callback_url": 5}, "E030", "XQUEUE_INTERFACE['callback_url'] = "),
        ("XQUEUE_INTERFACE", {"django_auth": ("a", "b")}, "E030", "['django_auth'] = "),
        ("XQUEUE_INTERFACE", {"django_auth": {"username": "a"}}, "E030", "['django_auth'] = "),
        ("XQUEUE_INTERFACE", {"basic_auth": "ab"}, "E030", "['basic_auth'] = "),
        ("LMS_ROOT_URL", "lms.example.com", "E031", "LMS_ROOT_URL = "),
        ("LMS_ROOT_URL", 5, "E031", "LMS_ROOT_URL = "),
        ("XQUEUE_WAITTIME_BETWEEN_REQUESTS", "soon", "E032", "BETWEEN_REQUESTS = 5"),
        ("XQUEUE_WAITTIME_BETWEEN_REQUESTS", None, "E032", "BETWEEN_REQUESTS = 5"),
        ("XQUEUE_WAITTIME_BETWEEN_REQUESTS", -1, "E032", "BETWEEN_REQUESTS = 5"),
    ],
)
def test_wrong_setting_of_the_host_is_named_in_the_message(settings, name, value, number, words):
    """SG85: host settings that the bridge cannot use are named."""
    setattr(settings, name, value)
    assert words in found()[number]


def test_xqueue_interface_of_an_lms_has_no_messages(settings):
    """XQUEUE_INTERFACE as an LMS defines it is accepted."""
    settings.XQUEUE_INTERFACE = {
        "url": "http://xqueue:18040",
        "django_auth": {"username": "lms", "password": "the-password"},
        "basic_auth": ["name", "the-password"],
        "callback_url": None,
    }
    assert found() == {}


@pytest.mark.parametrize(
    ("setting", "alias"), [("CACHES", "default"), ("STORAGES", "xqueue_bridge")]
)
def test_unusable_cache_or_storage_backend_is_named(settings, setting, alias):
    """SG85: otherwise it would fail only when a grader logs in or a learner uploads a file."""
    configured = getattr(settings, setting)
    setattr(settings, setting, {**configured, alias: {"BACKEND": "no.such.Backend"}})
    assert f"{setting}['{alias}'] cannot be used: Invalid" in found()["E013"]


def test_missing_attributes_of_a_client_are_named(settings):
    """SG85: the error names the setting, the class, and the missing attributes."""
    settings.XQUEUE_BRIDGE = {"USER_STATE_CLIENT": "tests.test_checks.IncompleteClient"}
    assert "IncompleteClient lacks set_many, get_history, DoesNotExist." in found()["E007"]


@pytest.mark.parametrize(
    "value",
    [
        {"USER_STATE_CLIENT": MEMORY_CLIENT, "REPLY_BACKEND": "tests.test_checks.HostBackend"},
        {"SEND_ERROR_CLASS": "builtins.ValueError", "COURSE_STRUCTURE_BACKEND": None},
        {
            "LOGIN_FAILURE_RATE": "100/hour",
            "RECALCULATE_GRADE_DELAY_SECONDS": 0,
            "GRADE_FREEZE_DAYS": None,
        },
        {"RETRY_BACKOFF": 2},
        {"PUBLIC_URL": None},
        {"HISTORY_DATABASE": None},
        {"HISTORY_DATABASE": "history", "HISTORY_EXTENDED": True},
        {"PUBLIC_URL": "https://queue.example.com"},
        {"CALLBACK_PREFIXES": ["https://lms.example.com/"]},
        {"QUEUES": {"slow": {"LEASE_SECONDS": 3600, "SCORE_SCALE": "fraction"}}},
    ],
)
def test_right_option_has_no_messages(settings, value):
    settings.XQUEUE_BRIDGE = value
    assert found() == {}


def test_missing_lms_root_url_is_named(settings):
    del settings.LMS_ROOT_URL
    assert "LMS_ROOT_URL = " in found()["W003"]


def test_missing_history_router_is_named(settings):
    settings.XQUEUE_BRIDGE = {"HISTORY_DATABASE": "history"}
    settings.DATABASE_ROUTERS = []
    assert "DATABASE_ROUTERS = ['xqueue_bridge" in found()["E011"]


def test_missing_urls_are_named(settings):
    settings.ROOT_URLCONF = "tests.no_urls"
    assert 'include("xqueue_bridge.urls")' in found()["W004"]


@pytest.mark.django_db
def test_sqlite_without_immediate_transactions_is_named(monkeypatch):
    from django.db import connections

    connection = connections["default"]
    if connection.vendor == "sqlite":
        options = {**connection.settings_dict["OPTIONS"], "transaction_mode": "DEFERRED"}
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
        assert "'transaction_mode': 'IMMEDIATE'" in found(databases=["default"])["W005"]
    else:
        assert found(databases=["default"]) == {}


@pytest.mark.parametrize(
    ("engine", "age", "tested", "found", "hints"),
    [
        ("postgresql", 0, False, "W006", ["'CONN_MAX_AGE'] = 600", "'CONN_HEALTH_CHECKS'] = True"]),
        ("mysql", 0, False, "W006", ["'CONN_MAX_AGE'] = 600", "'CONN_HEALTH_CHECKS'] = True"]),
        ("postgresql", 600, False, "W008", ["DATABASES['default']['CONN_HEALTH_CHECKS'] = True"]),
        ("postgresql", None, False, "W008", ["DATABASES['default']['CONN_HEALTH_CHECKS'] = True"]),
        ("postgresql", 600, True, None, []),
        ("sqlite3", 0, False, None, []),
    ],
)
def test_persistent_connections(monkeypatch, engine, age, tested, found, hints):
    """A connection for each request is slow; one that is kept must be tested before its use."""
    database = {
        "ENGINE": f"django.db.backends.{engine}",
        "CONN_MAX_AGE": age,
        "CONN_HEALTH_CHECKS": tested,
    }
    monkeypatch.setattr(settings, "DATABASES", {"default": database})
    messages = check_deployment()
    assert [message.id for message in messages] == ([f"xqueue_bridge.{found}"] if found else [])
    assert all(hint in message.hint for message in messages for hint in hints)


@pytest.mark.django_db(transaction=True)
def test_isolation_level():
    """A transaction that reads old rows again would compute grades from old scores."""
    statements = {
        "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    }
    assert found(databases=["default"]) == {}
    if connection.vendor in statements:
        with connection.cursor() as cursor:
            cursor.execute(statements[connection.vendor])
        assert "are REPEATABLE READ" in found(databases=["default"])["E014"]
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_character_set_that_holds_no_emoji():
    """Such a database passes until a learner writes an emoji."""
    if connection.vendor != "mysql":
        return
    table = Grader._meta.db_table
    assert found(databases=["default"]) == {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE {table} MODIFY note varchar(255) CHARACTER SET utf8mb3 NOT NULL"
        )
        assert f"not utf8mb4 in 'default' are {table}.note" in found(databases=["default"])["E015"]
        correct("E015")
        assert found(databases=["default"]) == {}
        cursor.execute("SET NAMES utf8mb3")
        assert "connection to 'default' uses utf8mb3" in found(databases=["default"])["E015"]
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_names_that_ignore_case_after_a_conversion():
    """Two queues whose names differ in case would be one; the hint makes them two again."""
    if connection.vendor != "mysql":
        return
    tables = {model._meta.db_table for model in apps.get_app_config("xqueue_bridge").get_models()}
    for character_set, number in (("utf8mb4", "E022"), ("utf8mb3", "E015")):
        with connection.cursor() as cursor:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET {character_set}")
        assert set(found(databases=["default"])) == {number}
        correct(number)
        assert found(databases=["default"]) == {}
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
    for name in ("python", "Python", "\N{PARTY POPPER}"):
        Grader.objects.create(name=name)


def correct(number: str) -> None:
    """Execute the statements of an error's hint."""
    messages = check_databases(databases=["default"])
    [hint] = [each.hint for each in messages if each.id == f"xqueue_bridge.{number}"]
    with connection.cursor() as cursor:
        for statement in hint.splitlines():
            cursor.execute(statement)


@pytest.mark.parametrize(
    ("login_url", "is_found"),
    [
        ("/accounts/login/", True),
        ("no-such-name", True),
        ("admin:login", False),
        ("/admin/login/?next=/", False),
        ("https://accounts.example.com/login", False),
    ],
)
def test_login_page_that_does_not_exist(monkeypatch, login_url, is_found):
    """Django's default is in no project's URLs: anonymous users would meet a 404."""
    monkeypatch.setattr(settings, "LOGIN_URL", login_url, raising=False)
    assert ("W011" in found()) is is_found


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("MIDDLEWARE", "xqueue_bridge.no_such_module.Middleware"),
        ("TEMPLATES", {"BACKEND": "django.template.backends.django.DjangoTemplates"}),
        ("TEMPLATES", None),
    ],
)
def test_pages_that_cannot_be_shown(settings, name, kept):
    """A project that was not made by startproject has no templates, or does not know the user."""
    assert "W014" not in found()
    setattr(settings, name, [kept] if kept else [])
    assert name in found()["W014"]


@pytest.mark.parametrize(
    ("legacy", "is_found"),
    [
        ({"url": "http://lms.example.com/"}, True),
        ({"url": "https://bridge.example.com/xqueue"}, True),
        ({"url": "https://old.example.com"}, False),
        ({"url": "http://lms.example.com:8001"}, False),
        ({}, False),
    ],
)
def test_submissions_that_are_forwarded_to_this_site(monkeypatch, legacy, is_found):
    given = {"LEGACY_XQUEUE_INTERFACE": legacy, "PUBLIC_URL": "https://bridge.example.com"}
    monkeypatch.setattr(settings, "XQUEUE_BRIDGE", given, raising=False)
    assert ("W010" in found()) is is_found


@pytest.mark.parametrize("proxy", ["proxy.example.com", "10.0.0.0/33", "", None, 10.5])
def test_trusted_proxy_that_is_not_an_address(monkeypatch, proxy):
    monkeypatch.setattr(settings, "XQUEUE_BRIDGE", {"TRUSTED_PROXIES": [proxy]}, raising=False)
    assert "is not an IP address or network" in found()["E009"]


def test_connection_pool_has_no_message(monkeypatch):
    """Django allows no CONN_MAX_AGE with a connection pool, so the hint would be wrong."""
    database = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}}
    monkeypatch.setattr(settings, "DATABASES", {"default": database})
    assert check_deployment() == []


@pytest.fixture
def files_storage(settings, tmp_path):
    """Return the folder of the storage of answers."""
    backend = "django.core.files.storage.FileSystemStorage"
    storage = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path / "files")}}
    settings.STORAGES = {**settings.STORAGES, "answers": storage}
    settings.XQUEUE_BRIDGE = {"FILES_STORAGE_ALIAS": "answers"}
    return tmp_path / "files"


def test_writable_storage_has_no_message_and_keeps_no_file(files_storage):
    assert check_files_storage() == []
    assert list(files_storage.iterdir()) == []


def test_storage_that_cannot_be_written_is_an_error(files_storage):
    """`check --deploy` finds it before a learner's file is refused."""
    files_storage.write_text("a file, where the storage needs a folder")
    (message,) = check_files_storage()
    assert message.id == "xqueue_bridge.E016"
    assert "STORAGES['answers'] cannot store answers with files: FileExistsError" in message.msg


def test_hint_of_a_wrong_reply_backend_lists_the_right_ones(monkeypatch):
    options = {"REPLY_BACKEND": "no.such.thing"}
    monkeypatch.setattr(settings, "XQUEUE_BRIDGE", options, raising=False)
    line = "XQUEUE_BRIDGE['REPLY_BACKEND'] = 'state', 'block', 'callback' or 'package.module.Class'"
    assert line in found()["E003"]


def test_redis_of_the_gateway_must_be_installed(settings, monkeypatch):
    settings.XQUEUE_BRIDGE = {"GATEWAY": {"REDIS_URL": "redis://:secret@127.0.0.1/0"}}
    assert check_gateway() == []
    monkeypatch.setattr("xqueue_bridge.checks.gateway.find_spec", lambda name: None)
    (message,) = check_gateway()
    assert message.id == "xqueue_bridge.E050"
    assert "secret" not in str(message)


@pytest.mark.parametrize(
    ("backend", "given", "is_found"),
    [
        ("django.core.cache.backends.redis.RedisCache", {}, True),
        ("django.core.cache.backends.redis.RedisCache", {"socket_timeout": None}, True),
        ("django.core.cache.backends.redis.RedisCache", {"socket_timeout": 1}, False),
        ("django.core.cache.backends.memcached.PyMemcacheCache", {"connect_timeout": 1}, True),
        ("django_redis.cache.RedisCache", {"SOCKET_TIMEOUT": 1}, False),
        ("django.core.cache.backends.locmem.LocMemCache", {}, False),
    ],
)
def test_cache_that_is_waited_for_without_limit(monkeypatch, backend, given, is_found):
    caches = {"default": {"BACKEND": backend, "OPTIONS": given}}
    monkeypatch.setattr(settings, "CACHES", caches)
    assert [message.id for message in check_cache_limit()] == ["xqueue_bridge.W012"] * is_found


@pytest.mark.parametrize(
    ("url", "given", "is_found"),
    [
        ("redis://127.0.0.1:6379/0", {}, True),
        ("rediss://127.0.0.1:6379/0", {"visibility_timeout": 60}, True),
        ("redis://127.0.0.1:6379/0", {"socket_timeout": 2}, False),
        ("amqp://127.0.0.1//", {}, False),
        (None, {}, False),
    ],
)
def test_broker_that_is_waited_for_without_limit(monkeypatch, url, given, is_found):
    app = Celery(broker=url, set_as_current=False)
    app.conf.broker_transport_options = given
    for module in (limits, enqueue):
        monkeypatch.setattr(module, "current_app", app)
    assert [message.id for message in check_broker_limit()] == ["xqueue_bridge.W013"] * is_found
